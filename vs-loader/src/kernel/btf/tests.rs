//! Offsets and functions in BTF made by hand, and bytes that are none.

use super::blob::Blob;
use super::*;

fn parse(blob: &Blob) -> KernelTypes {
    KernelTypes::parse(blob.bytes()).unwrap()
}

#[test]
fn a_member_lies_at_its_offset_in_bytes() {
    let mut blob = Blob::new();
    let int = blob.int();
    blob.structure("task_struct", &[("state", int, 0), ("pid", int, 320)]);
    let types = parse(&blob);
    assert_eq!(types.offset("task_struct", "pid"), Ok(Some(40)));
    assert_eq!(types.offset("task_struct", "tgid"), Ok(None));
    assert_eq!(types.offset("mm_struct", "pid"), Ok(None));
}

#[test]
fn anonymous_structures_and_unions_are_looked_through() {
    let mut blob = Blob::new();
    let int = blob.int();
    let inner = blob.structure("", &[("pad", int, 0), ("f_path", int, 32)]);
    let union = blob.aggregate(5, "", &[("other", int, 0), ("", inner, 64)]);
    blob.structure("file", &[("f_count", int, 0), ("", union, 128)]);
    assert_eq!(parse(&blob).offset("file", "f_path"), Ok(Some((128 + 64 + 32) / 8)));
}

#[test]
fn dots_descend_through_typedefs_and_stop_at_pointers() {
    let mut blob = Blob::new();
    let int = blob.int();
    let path = blob.structure("path", &[("mnt", int, 0), ("dentry", int, 64)]);
    let alias = blob.typedef("path_t", path);
    let pointer = blob.pointer(path);
    blob.structure("file", &[("f_path", alias, 192), ("elsewhere", pointer, 256)]);
    let types = parse(&blob);
    assert_eq!(types.offset("file", "f_path.dentry"), Ok(Some(32)));
    assert_eq!(types.offset("file", "elsewhere.dentry"), Ok(None));
    assert_eq!(types.offset("file", "f_path.dentry.more"), Ok(None));
}

#[test]
fn a_namesake_without_the_member_does_not_hide_the_structure_that_has_it() {
    let mut blob = Blob::new();
    let int = blob.int();
    blob.structure("path", &[("driver_private", int, 0)]);
    blob.structure("path", &[("mnt", int, 0), ("dentry", int, 64)]);
    assert_eq!(parse(&blob).offset("path", "dentry"), Ok(Some(8)));
}

#[test]
fn a_bit_field_is_an_error_and_its_whole_neighbour_is_not() {
    let mut blob = Blob::new();
    let int = blob.int();
    let (whole, bits) = (blob.name("whole"), blob.name("bits"));
    blob.add("flags", 1 << 31 | 4 << 24 | 2, 8, &[whole, int, 32, bits, int, 3 << 24 | 5]);
    let types = parse(&blob);
    assert_eq!(types.offset("flags", "whole"), Ok(Some(4)));
    assert_eq!(types.offset("flags", "bits").unwrap_err().what, "the member is a bit field");
}

#[test]
fn functions_are_found_by_name_and_their_arguments_counted() {
    let mut blob = Blob::new();
    blob.int();
    let id = blob.function("bpf_lsm_inode_setattr", 3);
    let types = parse(&blob);
    assert_eq!(types.function_id("bpf_lsm_inode_setattr"), Some(id));
    assert_eq!(types.argument_count("bpf_lsm_inode_setattr"), Ok(Some(3)));
    assert_eq!(types.argument_count("bpf_lsm_absent"), Ok(None));
}

#[test]
fn aya_finds_the_same_functions() {
    let mut blob = Blob::new();
    blob.int();
    let first = blob.function("bpf_lsm_bpf", 3);
    blob.function("vfs_open", 2);
    let second = blob.function("bpf_iter_udp", 2);
    let table = parse(&blob).functions_for_aya();
    let found = |name| table.id_by_type_name_kind(name, aya_obj::btf::BtfKind::Func).ok();
    assert_eq!(found("bpf_lsm_bpf"), Some(first));
    assert_eq!(found("bpf_iter_udp"), Some(second));
    assert_eq!(found("vfs_open"), None);
}

#[test]
fn a_name_is_not_taken_for_one_that_it_begins() {
    let mut blob = Blob::new();
    let int = blob.int();
    blob.structure("sock_common", &[("sk", int, 0)]);
    blob.structure("sock", &[("pad", int, 0), ("sk", int, 64)]);
    assert_eq!(parse(&blob).offset("sock", "sk"), Ok(Some(8)));
}

#[test]
fn typedefs_that_form_a_loop_end() {
    let mut blob = Blob::new();
    let loops = blob.typedef("a", 2);
    assert_eq!(blob.typedef("b", loops), 2);
    blob.structure("file", &[("f_path", loops, 0)]);
    assert!(parse(&blob).offset("file", "f_path.dentry").is_err());
}

#[test]
fn every_cut_and_every_changed_byte_is_survived() {
    let mut blob = Blob::new();
    let int = blob.int();
    let inner = blob.structure("", &[("dentry", int, 32)]);
    blob.structure("file", &[("", inner, 64)]);
    blob.function("bpf_lsm_bpf", 3);
    let bytes = blob.bytes();
    for end in 0..bytes.len() {
        assert!(KernelTypes::parse(bytes[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            // Any answer will do; none may panic or run for ever.
            if let Ok(types) = KernelTypes::parse(changed) {
                let _ = types.offset("file", "dentry");
                let _ = types.argument_count("bpf_lsm_bpf");
            }
        }
    }
}
