# One CMake target per module.  A module's folder is its public include path, so linking a module is what
# makes its headers reachable, and an include that the architecture forbids does not compile.

add_compile_definitions(_GNU_SOURCE _FILE_OFFSET_BITS=64)
add_compile_options(
  -Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wvla -Wpointer-arith -Wwrite-strings
  -Wstrict-prototypes -Wmissing-prototypes -fno-strict-aliasing -fstack-protector-strong)
if(CYTOFS_WERROR)
  add_compile_options(-Werror)
endif()
if(CYTOFS_SANITIZE)
  add_compile_options(-fsanitize=${CYTOFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${CYTOFS_SANITIZE})
endif()

# cytofs_module(NAME SOURCES a.c ... [LINK module ...] [PKG pkg-config-name ...] [PRIVATE_LINK lib ...])
# LINK is public: who links this module also sees the headers of LINK.  PKG and PRIVATE_LINK are private: a
# third-party header has one door.
function(cytofs_module NAME)
  cmake_parse_arguments(M "" "" "SOURCES;LINK;PKG;PRIVATE_LINK" ${ARGN})
  add_library(${NAME} STATIC ${M_SOURCES})
  target_include_directories(${NAME} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${NAME} PUBLIC ${M_LINK} PRIVATE ${M_PRIVATE_LINK} Threads::Threads m)
  foreach(PKG ${M_PKG})
    if(NOT TARGET PkgConfig::${PKG})
      pkg_check_modules(${PKG} REQUIRED IMPORTED_TARGET GLOBAL ${PKG})
    endif()
    target_link_libraries(${NAME} PRIVATE PkgConfig::${PKG})
  endforeach()
endfunction()

# cytofs_test(NAME LAYER unit [THREADED] SOURCES a.c ... [LINK module ...] [TIMEOUT seconds])
# A cmocka program, run by ctest with the layer as its label.  THREADED ones are run under the thread sanitizer as well: they
# have the label `threaded` and are built by the target `threaded_tests`.  OpenMP must not be among what they use, since that
# sanitizer cannot see into its library.
function(cytofs_test NAME)
  cmake_parse_arguments(T "THREADED" "LAYER;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT TARGET PkgConfig::cmocka)
    pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET GLOBAL cmocka)
  endif()
  add_executable(${NAME} ${T_SOURCES})
  target_include_directories(${NAME} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${NAME} PRIVATE ${T_LINK} PkgConfig::cmocka Threads::Threads m)
  add_test(NAME ${NAME} COMMAND ${NAME})
  set_tests_properties(${NAME} PROPERTIES LABELS "${T_LAYER}" SKIP_RETURN_CODE 77)
  if(T_THREADED)
    set_property(TEST ${NAME} APPEND PROPERTY LABELS threaded)
    if(NOT TARGET threaded_tests)
      add_custom_target(threaded_tests)
    endif()
    add_dependencies(threaded_tests ${NAME})
  endif()
  if(T_TIMEOUT)
    set_tests_properties(${NAME} PROPERTIES TIMEOUT ${T_TIMEOUT})
  else()
    set_tests_properties(${NAME} PROPERTIES TIMEOUT 300)
  endif()
endfunction()

# cytofs_fuzz(NAME SOURCE fuzz_x.c [LINK module ...] [CORPUS folder])
# The source defines LLVMFuzzerTestOneInput.  With CYTOFS_FUZZ it is a libFuzzer program; without, it is linked to
# tests/fuzz/fuzz_replay.c, which runs the corpus and a bounded number of seeded mutations of it as an ordinary test.
function(cytofs_fuzz NAME)
  cmake_parse_arguments(F "" "SOURCE;CORPUS" "LINK" ${ARGN})
  if(CYTOFS_FUZZ)
    add_executable(${NAME} ${F_SOURCE})
    target_link_options(${NAME} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${NAME} ${F_SOURCE} ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_replay.c)
    add_test(NAME ${NAME} COMMAND ${NAME} ${F_CORPUS})
    set_tests_properties(${NAME} PROPERTIES LABELS fuzz TIMEOUT 300)
  endif()
  target_compile_options(${NAME} PRIVATE -UNDEBUG) # the assertions are the test, in every build
  target_link_libraries(${NAME} PRIVATE ${F_LINK} Threads::Threads m)
endfunction()
