//! Which folders there are, whose they are, and what goes with what, on an ordinary file system.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder of its own for each test, on an ordinary file system: what is tested is which folders and names there are.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn pins(&self) -> Pins {
        Pins::below(&self.0.path().join("vs"))
    }
}

#[test]
fn folders_are_made_for_their_owner_alone_and_found_again() {
    let folder = Folder::new();
    let pins = folder.pins();
    assert!(!pins.verify().unwrap());
    pins.make_folders().unwrap();
    assert!(pins.verify().unwrap());
    for made in [pins.root.clone(), pins.version(), pins.maps()] {
        assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn an_unknown_layout_is_refused_by_name() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    fs::create_dir(pins.root.join("2")).unwrap();
    let text = pins.verify().unwrap_err().to_string();
    assert!(text.contains("layout \"2\"") && text.contains("layout 1 only"), "{text}");
}

#[test]
fn a_stranger_among_the_links_is_refused_by_name() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    fs::create_dir(pins.version().join("links-x")).unwrap();
    assert!(pins.link_epochs().unwrap_err().to_string().contains("1/links-x"));
}

#[test]
fn folders_that_others_may_write_are_refused() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    fs::set_permissions(&pins.root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(pins.verify(), Err(PinsError::NotOurs { mode: 0o777, .. })));
}

#[test]
fn a_symbolic_link_in_the_place_of_the_root_is_refused() {
    let folder = Folder::new();
    let pins = folder.pins();
    fs::create_dir(folder.0.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.0.path().join("elsewhere"), &pins.root).unwrap();
    assert!(matches!(pins.verify(), Err(PinsError::NotOurs { .. })));
}

#[test]
fn links_are_listed_by_epoch_and_removed_one_epoch_at_a_time() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    for epoch in [Epoch(10), Epoch(9)] {
        pins.create_links(epoch, "0123").unwrap();
        fs::write(pins.link(epoch, Hook::TaskKill), "").unwrap();
    }
    assert_eq!(pins.link_epochs().unwrap(), [Epoch(9), Epoch(10)]);
    assert_eq!(pins.object_of(Epoch(10)).as_deref(), Some("0123"));
    pins.remove_links(Epoch(9)).unwrap();
    pins.remove_links(Epoch(9)).unwrap();
    assert_eq!(pins.link_epochs().unwrap(), [Epoch(10)]);
    assert_eq!(pins.object_of(Epoch(9)), None);
}

#[test]
fn nothing_is_left_after_an_unload() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    for name in map_name::ALL {
        fs::write(pins.map(name), "").unwrap();
    }
    pins.remove_maps().unwrap();
    assert!(!pins.root.exists());
    pins.remove_maps().unwrap();
}

#[test]
fn a_map_that_is_missing_under_links_is_damage_and_without_links_is_not() {
    let folder = Folder::new();
    let pins = folder.pins();
    assert!(!pins.is_there());
    pins.make_folders().unwrap();
    assert!(!pins.has_all_maps().unwrap());
    for name in map_name::ALL {
        fs::write(pins.map(name), "").unwrap();
    }
    pins.create_links(Epoch(3), "0123").unwrap();
    assert!(pins.has_all_maps().unwrap());
    fs::remove_file(pins.map(map_name::EPOCH)).unwrap();
    let text = pins.has_all_maps().unwrap_err().to_string();
    assert!(text.contains("maps/EPOCH is missing while programs are attached"), "{text}");
}

#[test]
fn maps_are_not_removed_from_under_links() {
    let folder = Folder::new();
    let pins = folder.pins();
    pins.make_folders().unwrap();
    pins.create_links(Epoch(1), "0123").unwrap();
    fs::write(pins.map(map_name::TASKS), "").unwrap();
    assert!(pins.remove_maps().is_err());
    assert!(pins.map(map_name::TASKS).exists());
}
