"""The catalogue: every profile Langyan knows, one TOML file each, and the loading of one."""

from pathlib import Path

from device_profiles.faults import N_, Fault, UnknownProfileError, listed, near, shown
from device_profiles.model import Profile
from device_profiles.profile_checks import check_profile
from device_profiles.strict import read_fields
from device_profiles.toml_file import TomlFile

CATALOGUE = Path(__file__).parent / "catalogue"
"""Where the profiles that come with Langyan stand: `<maker>/<model>.toml`."""


def list_profiles(*, extra: Path | None = None) -> list[str]:
    """List the ids of all profiles, sorted, those of the extra folder among them."""
    return sorted(profile_files(extra=extra))


def profile_files(*, extra: Path | None = None) -> dict[str, Path]:
    """Find the file of every profile id; a file of the extra folder takes the place of the catalogue's."""
    found: dict[str, Path] = {}
    for folder in (CATALOGUE, extra):
        if folder is not None:
            found.update({profile_place(file): file for file in sorted(folder.glob("*/*.toml"))})
    return found


def profile_place(file: Path) -> str:
    """The id a profile file must carry: its folder and its name without `.toml`."""
    return f"{file.absolute().parent.name}/{file.stem}"


def load_profile(profile_id: str, *, extra: Path | None = None) -> Profile:
    """Load and check one profile by its id.

    Args:
        profile_id: `<maker>/<model>`.
        extra: folder with profiles of one's own, laid out like the catalogue, searched first.

    Raises:
        UnknownProfileError: there is none of that id; names those with a similar one.
        ConfigError: the file has faults; lists all of them.
    """
    files = profile_files(extra=extra)
    if profile_id not in files:
        raise UnknownProfileError([_unknown(profile_id, list(files), extra)])
    return load_profile_file(files[profile_id])


def load_profile_file(path: Path) -> Profile:
    """Load and check a profile file; its id must be the file's folder and name.

    Raises:
        ConfigError: the file has faults; lists all of them.
    """
    toml = TomlFile.read(path)
    fields = read_fields(toml, Profile)
    check_profile(toml, fields, place=profile_place(path))
    toml.raise_faults()
    return Profile(**fields)


def _unknown(profile_id: str, known: list[str], extra: Path | None) -> Fault:
    file = str(CATALOGUE if extra is None else extra)
    args = {"profile": shown(profile_id), "allowed": listed(sorted(known))}
    if meant := near(profile_id, known):
        text = N_("no profile {profile}; did you mean {near}? Profiles: {allowed}")
        return Fault(file, "", None, text, {**args, "near": meant})
    return Fault(file, "", None, N_("no profile {profile}; profiles: {allowed}"), args)
