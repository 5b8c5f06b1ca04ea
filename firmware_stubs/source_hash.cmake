# The hash that the core carries: one line "NAME SHA256-OF-CONTENT\n" for each *.c and *.h file of
# the directory, in byte order of the names, and the SHA-256 of those lines together.
# backends/hwloop_sim/source_hash.py is the same rule in Python; a test compares the two.
function(hwl_source_hash directory result)
  file(GLOB names RELATIVE "${directory}" "${directory}/*.c" "${directory}/*.h")
  list(SORT names COMPARE STRING)
  set(lines "")
  foreach(name IN LISTS names)
    file(SHA256 "${directory}/${name}" digest)
    string(APPEND lines "${name} ${digest}\n")
  endforeach()
  string(SHA256 hash "${lines}")
  set(${result} "${hash}" PARENT_SCOPE)
endfunction()
