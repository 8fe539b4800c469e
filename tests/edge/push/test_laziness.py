import subprocess
import sys


def test_a_gateway_whose_devices_are_all_asked_imports_nothing_of_those_that_speak() -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from device_profiles.site_loader import load_site\n"
        "from edge.gateway import _push_maker\n"
        "assert _push_maker(load_site(Path('docs/examples/school.toml'))) is None\n"
        "print(*(name for name in sys.modules if name.startswith(('edge.push', 'edge.presence', 'cryptography'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
