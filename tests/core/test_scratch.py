from mixop.core.scratch import registered, remove_all, scratch_folder


def test_a_folder_goes_with_its_block(tmp_path):
    with scratch_folder(within=tmp_path) as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_is_registered_is_removed_and_the_rest_stays(tmp_path):
    kept, file, folder = (tmp_path / name for name in ("kept", "file", "folder"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    folder.mkdir()
    (folder / "inside").write_text("x")
    with registered(kept):
        kept.write_text("x")
    file.write_text("x")
    with registered(file), registered(folder), registered(link), registered(tmp_path / "absent"):
        remove_all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "kept"]
    assert (elsewhere / "kept").exists()  # a link goes, not what it leads to
