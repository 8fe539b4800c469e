"""What bytes mean to a profile, whatever it speaks: for a person at a terminal, and to check captures. Pure."""

from device_profiles.model import Profile
from device_profiles.speech.said import Moment, Said, Speaker

_DEVICE = "device"


def decode_bytes(profile: Profile, data: bytes) -> list[Said]:
    """Let a fresh conversation hear `data` as from one device of the profile, whatever its address.

    Args:
        profile: checked, of a device that speaks by itself.
        data: as it came; on MQTT one message: topic, NUL, payload.

    Returns:
        What was understood or refused, in its order; a frame that is not whole is refused at the end.

    Raises:
        ValueError: the device is asked and does not speak by itself.
    """
    # Read only when it is wanted, with the language that it is: profiles are loaded where nobody speaks.
    from device_profiles.speech.making import make_shared, make_speech  # noqa: PLC0415

    if profile.speaks is None:
        raise ValueError(f"{profile.profile} is asked: it does not speak by itself")
    language = profile.speaks.language
    speech = make_speech(language, [Speaker(device=_DEVICE)], {_DEVICE: profile}, make_shared(language))
    said = [*speech.open(Moment(0.0)), *speech.hear(data, Moment(0.0))]
    due = speech.next_at()
    return said if due is None else [*said, *speech.tick(Moment(due))]
