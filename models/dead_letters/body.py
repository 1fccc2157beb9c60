"""What the body of a message that went wrong still tells: of whom, in which version, of which job."""

from collections.abc import Mapping

from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, MAX_NAME_LENGTH, load_object


def readable_fields(body: bytes, max_bytes: int) -> Mapping[str, object]:
    """Read a body as far as it can be.

    Args:
        body: The body.
        max_bytes: The largest body that is looked into.

    Returns:
        The fields of its JSON object; none where it is no such.
    """
    try:
        return load_object(body, max_bytes)
    except DecodeError:
        return {}


def told_extractor(fields: Mapping[str, object]) -> str:
    """Tell whose message it is; empty where it doesn't say."""
    info = fields.get("extractor_info")
    name = info.get("name") if isinstance(info, dict) else fields.get("extractor_id")
    return name[:MAX_NAME_LENGTH] if isinstance(name, str) and name.strip() else ""


def told_version(fields: Mapping[str, object]) -> str:
    """Tell the sender's version; empty where it doesn't say."""
    info = fields.get("extractor_info")
    version = info.get("version") if isinstance(info, dict) else None
    return str(version)[:MAX_NAME_LENGTH] if isinstance(version, str | int | float) else ""


def told_job(fields: Mapping[str, object]) -> str | None:
    """Tell its job; None where it doesn't say, or says what is no id."""
    job_id = fields.get("job_id")
    return job_id if isinstance(job_id, str) and 0 < len(job_id.strip()) <= MAX_ID_LENGTH else None
