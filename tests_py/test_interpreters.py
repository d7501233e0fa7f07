"""One interpreter of a process can use twofold: others are told what to use instead, and the process lives."""

import pytest
from conftest import run_script

REFUSAL = "refused: twofold works in only one interpreter of a process"


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
@pytest.mark.parametrize("kind", ["own GIL", "shared GIL"])
def test_a_second_interpreter_refuses_the_import(kind: str, is_first: bool):
    output = run_script(
        """
        import sys
        try:
            import _interpreters as interpreters  # of Python 3.13 and later
        except ImportError:
            import _xxsubinterpreters as interpreters
        kind, is_first = sys.argv[1], sys.argv[2] == "True"
        tried = '''if True:
            try:
                import twofold
            except ImportError as error:
                print("refused:", error, flush=True)
            else:
                print(twofold.double([1, 2, 3]), flush=True)
        '''
        if not is_first:
            exec(tried)
        has_names = sys.version_info >= (3, 13)
        names = {"own GIL": "isolated", "shared GIL": "legacy"}
        create = interpreters.create
        interpreter = create(names[kind]) if has_names else create(isolated=kind == "own GIL")
        interpreters.run_string(interpreter, tried)
        interpreters.destroy(interpreter)
        if is_first:
            exec(tried)
        print("alive")
        """,
        kind,
        str(is_first),
    )
    first, second, end = output.splitlines()
    assert end == "alive"
    answers = [first, second]
    # Python refuses the first import, too, where an interpreter has a GIL of its own.
    assert "[2, 4, 6]" in answers
    (refused,) = [answer for answer in answers if answer != "[2, 4, 6]"]
    assert refused.startswith(REFUSAL), output
    assert "ThreadPoolExecutor" in refused
    assert "ProcessPoolExecutor" in refused
