"""timg-add and timg-remove. An agent checks the header; the controller never opens a file of the pool."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.turn import RANK, Turn
from tashi.model.image import Image
from tashi.model.job import Job, JobState
from tashi.model.name import check_name
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, ImageAdd, Named


def add(turn: Turn, body: ImageAdd) -> Accepted:
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None
    if body.name in turn.state.names["image"]:
        raise Refused(Code.CONFLICT, f"{body.name}: there is an image of this name already")
    for path in (body.path, body.kernel, body.initrd):
        _check_path(body.name, path)
    if (body.kernel or body.initrd or body.kernel_args) and RANK[turn.who.role] < RANK["admin"]:
        raise Refused(Code.DENIED, f"{body.name}: only an administrator may set a kernel")
    if (body.initrd and not body.kernel) or (body.kernel_args and not body.kernel):
        raise Refused(Code.BAD_REQUEST, f"{body.name}: an initrd or kernel line needs a kernel")
    image_id = turn.new_id("image")
    job = turn.begin(
        "image.add",
        "image",
        image_id,
        body.name,
        budget_seconds=turn.settings.image_seconds,
        phase="waits for a host",
    )
    turn.put(
        Image(
            id=image_id,
            name=body.name,
            owner=turn.who.name,
            path=body.path,
            format=body.format,
            created_at=turn.at(),
            kernel=body.kernel,
            initrd=body.initrd,
            kernel_args=body.kernel_args,
            job=job.id,
        )
    )
    assign(turn, job.id)
    return Accepted(job=job.id, kind="image", objects={image_id: body.name}, dry_run=body.dry_run)


def _check_path(name: str, path: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\0" in path or any(ord(letter) < 32 for letter in path):
        raise Refused(
            Code.BAD_REQUEST, f"{name}: {path[:80]!r} is not a path below the pool", "give it relative to [pool] path"
        )


def assign(turn: Turn, job_id: str) -> None:
    """Give a check to a host that is up, or leave it waiting for one."""
    job = turn.state.jobs[job_id]
    at = str(job.result.get("host", ""))
    if at and not turn.host_unknown(at):
        return
    up = [host for host in turn.state.hosts if not turn.host_unknown(host)]
    if up:
        turn.put(replace(job, phase="checking", result={"host": min(up, key=lambda host: int(host[2:]))}))


def checked(turn: Turn, job: Job, done: ShotDone) -> None:
    """An agent has looked at the header: the image is ready, or was never one."""
    image = turn.state.images.get(job.target)
    if image is None:
        return
    if done.outcome == "done":
        size = int(done.result.get("size_bytes", "0"))
        turn.put(replace(image, size_bytes=size, state="ready"))
        turn.end(job.id, JobState.DONE, result={"size_bytes": size})
    elif done.outcome == "failed":
        turn.remove(image)
        turn.end(job.id, JobState.FAILED, done.reason)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget an image; its file stays. Refused while disks lie on it."""
    image: Image = turn.find("image", body.name)
    if image.owner != turn.who.name and RANK[turn.who.role] < RANK["admin"]:
        raise Refused(Code.DENIED, f"{image.name}: it belongs to {image.owner}")
    users = [vm.name for vm in turn.state.vms.values() if vm.image == image.id]
    if users:
        more = f" and {len(users) - 5} more" if len(users) > 5 else ""
        raise Refused(Code.WRONG_STATE, f"{image.name}: disks of {', '.join(users[:5])}{more} lie on it")
    if image.job:
        turn.end(image.job, JobState.CANCELLED, "the image was removed")
        image = turn.state.images[image.id]
    job = turn.begin("image.remove", "image", image.id, image.name)
    turn.remove(image)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="image", objects={image.id: image.name}, done=True, dry_run=body.dry_run)
