"""Against Debian's docker-registry, with skopeo as the other client."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from lab.registry import PASSWORD, USER, Registry, copy
from lab.shell import run
from lading.errors import LadingError, Unauthorized
from lading.image.reference import parse
from lading.image.registry.pull import Pulled, Puller
from lading.image.registry.push import Pusher
from lading.image.registry.settings import Credentials
from lading.image.store import ImageStore
from tests.unit.image.makers import add
from tests.unit.image.registry.conftest import SETTINGS
from tests.unit.image.registry.fakes import layer

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("docker-registry", "skopeo", "htpasswd"))),
    reason="docker-registry, skopeo or htpasswd is not installed",
)

LOGIN = Credentials(USER, PASSWORD)


def pull(store: ImageStore, name: str, login: Credentials) -> Pulled:
    puller = Puller(store, store.root, SETTINGS)
    return asyncio.run(puller.pull(parse(name), login, lambda _step: None))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", ["v2s2", "oci"])
def test_skopeo_reads_what_is_pushed_and_the_other_way_round(
    store: ImageStore, tmp_path: Path, secure: bool, kind: str
) -> None:
    image = add(store, layer(a=b"1"), layer(b=b"2"), tag="lading-test:one")
    with Registry(secure=secure) as registry:
        login = LOGIN if secure else Credentials()
        logins = [f"{USER}:{PASSWORD}"] if secure else []
        named = f"{registry.address}/lading/test"
        pusher = Pusher(store, store.root, SETTINGS)
        pushed = asyncio.run(pusher.push(parse(f"{named}:one"), image, login, lambda _step: None))
        source = [word for one in logins for word in ("--src-creds", one)]
        copy(f"docker://{named}:one", f"dir:{tmp_path}/out", *source)
        manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
        assert manifest["config"]["digest"] == image.id
        assert run("skopeo", "manifest-digest", f"{tmp_path}/out/manifest.json").strip() == (
            pushed.digest
        )
        target = [word for one in logins for word in ("--dest-creds", one)]
        copy(f"dir:{tmp_path}/out", f"docker://{named}:two", "--format", kind, *target)
        store.remove(image.id, force=True, users=lambda _id: ())
        pulled = pull(store, f"{named}:two", login)
        assert pulled.image.diff_ids == image.diff_ids
        if kind == "v2s2":
            assert (pulled.image.id, pulled.digest) == (image.id, pushed.digest)


def test_a_login_is_asked_for_and_checked(store: ImageStore) -> None:
    with Registry(secure=True) as registry:
        named = f"{registry.address}/lading/test:one"
        with pytest.raises(LadingError, match="no basic auth credentials") as caught:
            pull(store, named, Credentials())
        assert caught.value.status == 500
        with pytest.raises(Unauthorized):
            pull(store, named, Credentials(USER, "wrong"))
