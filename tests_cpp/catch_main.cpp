// Compiled once for all tests: in version 2 it holds all of Catch, in version 3 a main that needs no second library.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int count, char* arguments[]) {
    Catch::Session session;
#if defined(CATCH_CONFIG_RUNNER)
    // As version 3 has it: a name that no test has is an error.
    session.configData().warnings = Catch::WarnAbout::NoTests;
#endif
    return session.run(count, arguments);
}
