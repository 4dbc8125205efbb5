import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT
from cli_programs import PROGRAM

# As pip writes it.
INSTALLED = """
import sys
from wlasl_tfrecord.cli.shard import main
sys.exit(main())
"""


def run(command, **variables):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    clean["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(
        command, env={**clean, **variables}, capture_output=True, text=True
    )


@pytest.mark.parametrize("moment", ["import", "start anew"])
@pytest.mark.parametrize("program", ["bin/shard", "wlasl-shard"])
def test_ctrl_c_is_one_line_before_a_command_has_begun(tmp_path, program, moment):
    # A module that is imported on the way presses it.
    press = "import os; os.kill(os.getpid(), 2)\n"
    if moment == "import":
        (tmp_path / "tqdm.py").write_text(press)
    else:
        (tmp_path / "sitecustomize.py").write_text(
            f"import os\nif 'MALLOC_TOP_PAD_' in os.environ: {press}"
        )
    path = CHECKOUT / program
    if program == "wlasl-shard":
        path = tmp_path / program
        path.write_text(INSTALLED)
    done = run(
        [sys.executable, str(path), "--src", "x"],
        PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]),
    )
    assert (done.returncode, done.stderr) == (130, f"\n{program}: stopped\n")


def test_a_second_ctrl_c_is_no_traceback(tmp_path):
    # It comes after the first one's line, while Python tidies up at its end.
    ends = "import atexit, os; atexit.register(os.kill, os.getpid(), 2)\n"
    program = tmp_path / "program.py"
    program.write_text(
        ends + PROGRAM.replace("import os\n", "raise KeyboardInterrupt\n")
    )
    done = run([sys.executable, str(program)])
    # As a shell sees it, this is 130 as well.
    assert (done.returncode, done.stderr) == (-2, "\nwlasl-shard: stopped\n")


def test_it_needs_nothing_that_is_installed():
    # The launchers import it before they look for an environment.
    code = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); "
        "from wlasl_tfrecord.cli import ctrl_c; "
        "sys.exit(sum('site-packages' in path for path in sys.path))"
    )
    assert subprocess.run([sys.executable, "-I", "-S", "-c", code]).returncode == 0
