"""Where packed states lie: both stores are mappings, and the one on a disk leaves nothing behind."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.worker import local_store
from streams.kafka.worker.local_store import InMemoryStore, LmdbStore, StateStore, check_folder
from streams.shared.errors import SettingsError
from streams.shared.exits import EXIT_IO, StoppedError

KEYS = st.sampled_from([b"s_1", b"s_2", b"s_3", b"s_2@5", b"s_2@50", b"s_3@7"])
DEEDS = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=8))))


@pytest.mark.parametrize("kind", ["memory", "disk"])
@given(deeds=DEEDS)
def test_a_store_gives_what_was_put_last_and_each_only_once(
    kind: str, deeds: list[tuple[bytes, bytes | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store: StateStore = (
        InMemoryStore() if kind == "memory" else LmdbStore(tmp_path_factory.getbasetemp(), fresh_max=3, snapshots_max=3)
    )
    model = dict[bytes, bytes]()
    for key, packed in deeds:
        if packed is None:
            assert store.pop(key, None) == model.pop(key, None)
        else:
            store[key] = model[key] = packed
    states = {key: packed for key, packed in model.items() if b"@" not in key}
    assert {key: packed for key, packed in store.items() if b"@" not in key} == states
    assert {key: store.pop(key, None) for key in model} == model
    assert list(store.items()) == []
    store.close()


def test_a_store_that_is_open_has_no_file_that_a_crash_could_leave(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, fresh_max=1)
    store[b"s_1"] = bytes(1000)
    assert list(tmp_path.iterdir()) == []
    assert store.pop(b"s_1", None) == bytes(1000)
    store.close()


def fill(store: StateStore) -> None:
    for number in range(100_000):
        store[b"s_%d" % number] = bytes(1000)


def test_a_disk_that_is_full_stops_the_worker_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_store, "BYTES_MAX", 1 << 16)
    store = LmdbStore(tmp_path)
    with pytest.raises(StoppedError, match=r"the local store in .* cannot be used: .*MAP_FULL") as stopped:
        fill(store)
    assert stopped.value.exit_code == EXIT_IO


def test_a_folder_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"store: the local store in .*absent cannot be used: .*No such file"):
        check_folder(tmp_path / "absent")
    assert check_folder(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []
