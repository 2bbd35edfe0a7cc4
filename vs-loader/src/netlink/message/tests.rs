//! Byte by byte as `include/uapi/linux/netlink.h` has it.

use super::*;

/// A message as the kernel sends it: header, what it says, and what fills it up to whole words.
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len() + 16).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(7_u32.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn what_the_kernel_sends_is_cut_into_messages() {
    let interrupted = 2 | 16;
    let mut bytes = message(20, 2, b"odd");
    bytes.extend(message(20, interrupted, &[0; 8]));
    bytes.extend(message(3, 2, &[0; 4]));
    let list = answers(&bytes).unwrap();
    assert_eq!(list.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), [7, 7, 7]);
    assert_eq!(list.iter().map(|answer| answer.is_interrupted).collect::<Vec<_>>(), [false, true, false]);
    assert!(matches!(list[0].content, Content::Item(20, b"odd")));
    assert!(matches!(list[2].content, Content::End));
}

#[test]
fn a_refusal_is_an_error_with_its_number() {
    let of = |code: i32| message(2, 0, &[&code.to_ne_bytes()[..], &[0; 16]].concat());
    let (done, refused) = (of(0), of(-libc::EEXIST));
    assert!(matches!(answers(&done).unwrap()[0].content, Content::End));
    let Content::Refused(error) = &answers(&refused).unwrap()[0].content else { panic!("no refusal") };
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
    assert!(answers(&refused[..18]).is_err());
    assert!(answers(&[0; 16]).is_err());
}
