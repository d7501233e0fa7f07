"""Subinterpreters and free threading are not supported: a program that tries is told, and the process lives."""

from conftest import run_script


def test_a_subinterpreter_with_its_own_gil_refuses_the_import():
    output = run_script("""
        try:
            import _interpreters as interpreters  # of Python 3.13 and later
        except ImportError:
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                raise SystemExit("has no subinterpreters")
        import twofold
        tried = '''
        try:
            import twofold
        except ImportError as error:
            print("refused:", error, flush=True)
        else:
            print(twofold.double([1, 2, 3]), flush=True)
        '''
        import textwrap
        interpreter = interpreters.create()
        try:
            print(interpreters.run_string(interpreter, textwrap.dedent(tried)) or "")
        finally:
            interpreters.destroy(interpreter)
        assert twofold.double([1, 2, 3]) == [2, 4, 6]
        print("alive")
    """)
    assert output.splitlines()[-1] == "alive"
    assert "refused:" in output, output
