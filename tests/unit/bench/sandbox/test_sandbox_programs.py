"""Programs that mean no harm: each language, as one would expect it to run."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from suture.bench.sandbox import Execution, Limits, Program, run_program
from tests.unit.bench.machine import require_run
from tests.unit.bench.sandbox.conftest import Python

pytestmark = pytest.mark.usefixtures("sandbox")


USUAL = Limits(seconds=30)


def javascript(code: str, stdin: str = "", limits: Limits = USUAL) -> Execution:
    done = run_program(Program("javascript", {"main.js": textwrap.dedent(code)}, "main.js", stdin, limits))
    require_run([done])
    return done


def sql(script: str, limits: Limits = USUAL) -> Execution:
    return run_program(Program("sql", {"main.sql": textwrap.dedent(script)}, "main.sql", limits=limits))


# -- Python -------------------------------------------------------------------------------------------------------


def test_standard_input_and_unicode(python: Python) -> None:
    done = python("import sys; print(input().upper(), len(sys.stdin.read()), '中文 ✓')", stdin="grüße\nzwei\n")
    assert done.output == "GRÜSSE 5 中文 ✓\n"
    assert (done.outcome, done.status, done.errors) == ("done", 0, "")


@pytest.mark.parametrize(
    ("code", "status", "errors"),
    [
        ("exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import os; os._exit(255)", 255, ""),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("def f(:", 1, "SyntaxError: invalid syntax\n"),
        ("raise MemoryErrors", 1, "NameError: name 'MemoryErrors' is not defined. Did you mean: 'MemoryError'?\n"),
        ("x = '\ud800'", 1, None),
    ],
)
def test_exit_status(python: Python, code: str, status: int, errors: str | None) -> None:
    done = python(code)
    assert (done.outcome, done.status) == ("done", status)
    if errors is not None:
        assert done.errors.endswith(errors)


@pytest.mark.parametrize(("length", "outcome"), [(1000, "done"), (1001, "output")])
def test_output_at_the_limit(python: Python, length: int, outcome: str) -> None:
    done = python(f"print('x' * {length}, end='')", output=1000)
    assert (done.outcome, done.output) == (outcome, "x" * 1000)


def test_several_files_and_the_same_order_each_time() -> None:
    files = {
        "main.py": "from pack.inner import names; import other; print(other.X, *names)",
        "other.py": "X = __import__('pathlib').Path('data.txt').read_text()",
        "pack/__init__.py": "",
        "pack/inner.py": "names = set('abcdefgh')",
        "data.txt": "two\r\nlines",
    }
    first, again = (run_program(Program("python", files, "main.py")) for _ in range(2))
    assert first.output.startswith("two\nlines ")
    assert first.output == again.output


def test_what_programs_use(python: Python) -> None:
    """Event loops, threads, child processes, temporary files and folders."""
    code = """
        import asyncio, concurrent.futures, os, pathlib, shutil, subprocess, sys, tempfile

        async def double(x):
            await asyncio.sleep(0.01)
            return 2 * x

        async def main():
            return await asyncio.gather(double(1), asyncio.to_thread(sum, [1, 2]))

        print(asyncio.run(main()))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            print(list(pool.map(len, ['a', 'bb'])))
        print(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, 'x').write_text('x')
            pathlib.Path(folder, 'x').rename(pathlib.Path(folder, 'y'))
            print(os.listdir(folder))
        os.makedirs('a/b'); pathlib.Path('a/b/c').touch(); os.replace('a/b/c', 'c'); shutil.rmtree('a')
        print(sorted(os.listdir('.')))
    """
    assert python(code).output == "[2, 3]\n[1, 2]\n42\n\n['y']\n['c', 'main.py']\n"


def test_pytest_and_no_other_package(python: Python) -> None:
    files = {
        "main.py": "import pytest; raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_it.py']))",
        "it.py": "def half(x): return x / 2",
        "test_it.py": """
import pytest
from it import half
@pytest.mark.parametrize('x', [2, 4])
def test_half(x, tmp_path): assert half(x) == x // 2
def test_zero():
    with pytest.raises(TypeError): half(0)
""",
    }
    done = run_program(Program("python", files, "main.py"))
    assert (done.status, done.outcome) == (1, "done"), done
    assert "1 failed, 2 passed" in done.output
    code = """
        import importlib.util
        names = ("pytest", "numpy", "pip", "setuptools", "pydantic", "suture")
        print([name for name in names if importlib.util.find_spec(name)])
    """
    assert python(code).output == "['pytest']\n"


def test_several_at_once(python: Python) -> None:
    """Each with a name, standard input and files of its own."""
    with ThreadPoolExecutor(6) as threads:
        code = "open('x', 'w').write(input()); print(open('x').read())"
        runs = [threads.submit(python, code, stdin=str(n), seconds=30.0) for n in range(12)]
        assert [run.result().output for run in runs] == [f"{n}\n" for n in range(12)]


# -- JavaScript ---------------------------------------------------------------------------------------------------


def test_node() -> None:
    code = """
        const lines = require('fs').readFileSync(0, 'utf8').split('\\n');
        setTimeout(() => console.log(JSON.stringify([lines, [...'日本'].length])), 10);
        Promise.resolve('later').then(console.error);
    """
    done = javascript(code, "a\nü")
    assert (done.outcome, done.status, done.errors) == ("done", 0, "later\n")
    assert json.loads(done.output) == [["a", "ü"], 2]


@pytest.mark.parametrize(
    ("code", "outcome", "status", "errors"),
    [
        ("process.exit(4)", "done", 4, ""),
        ("function (", "done", 1, "SyntaxError"),
        ("throw new TypeError('no')", "done", 1, "TypeError: no"),
        ("const kept = []; while (true) kept.push(new Array(1e5).fill(kept.length))", "memory", None, ""),
        ("const kept = []; while (true) kept.push(Buffer.alloc(1e7, 1))", "memory", None, ""),
        ("while (true);", "timeout", None, ""),
        ("while (true) require('fs').writeSync(1, 'x'.repeat(1e5))", "output", None, ""),
        ("require('http').get('http://127.0.0.1:1')", "done", 1, "EPERM"),
    ],
)
def test_how_node_ends(code: str, outcome: str, status: int | None, errors: str) -> None:
    done = javascript(code, limits=Limits(seconds=0.5 if outcome == "timeout" else 30, memory=128 * 2**20))
    assert (done.outcome, done.status) == (outcome, status), done
    assert errors in done.errors


# -- SQL ----------------------------------------------------------------------------------------------------------


def test_sql() -> None:
    script = """
        -- a comment; with a semicolon
        CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, raw BLOB);
        CREATE TRIGGER twice AFTER INSERT ON t BEGIN UPDATE t SET price = 2 * price; DELETE FROM t WHERE id = 9; END;
        BEGIN; INSERT INTO t VALUES (1, 'a;ü', 1.5, NULL), (9, 'x', 0, x'00ff'); COMMIT;
        SELECT * FROM t;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, i * i FROM n;
        SELECT x'00ff' WHERE 0;
        SELECT x'00ff' -- the end
    """
    done = sql(script)
    assert (done.outcome, done.status, done.errors) == ("done", 0, "")
    assert [json.loads(line) for line in done.output.splitlines()] == [
        [[1, "a;ü", 6.0, None]],
        [[1, 1], [2, 4], [3, 9]],
        [],
        [["00ff"]],
    ]


@pytest.mark.parametrize(
    ("script", "output", "errors"),
    [
        ("SELECT 1; SELECT * FROM nowhere; SELECT 2", "[[1]]\n", "OperationalError: no such table: nowhere\n"),
        ("SELEC 1", "", 'OperationalError: near "SELEC": syntax error\n'),
        ("ATTACH 'x.db' AS x", "", "DatabaseError: not authorized\n"),
        ("VACUUM INTO 'x.db'", "", "DatabaseError: authorization denied\n"),
        ("SELECT load_extension('x')", "", "OperationalError: not authorized\n"),
        ("", "", ""),
        ("-- nothing", "", ""),
    ],
)
def test_how_sql_ends(script: str, output: str, errors: str) -> None:
    done = sql(script)
    assert (done.outcome, done.status) == ("done", 1 if errors else 0)
    assert done.output == output
    assert done.errors.endswith(errors)


def test_sql_without_end() -> None:
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
    assert sql(f"{counting} max(i) FROM n", Limits(seconds=0.5)).outcome == "timeout"
    assert sql(f"{counting} i, 'xxxxxxxxxx' || i FROM n", Limits(seconds=30, memory=64 * 2**20)).outcome == "memory"


def test_a_module_named_like_the_standard_librarys() -> None:
    files: Mapping[str, str] = {"main.py": "import json; print(json.MINE)", "json.py": "MINE = 1"}
    assert run_program(Program("python", files, "main.py")).output == "1\n"
    assert run_program(Program("sql", {"main": "SELECT 1", "json.py": "1 / 0"}, "main")).output == "[[1]]\n"
