//! What all messages of netlink have in common, from and to bytes. Pure.

use std::io;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};

/// `NLM_F_DUMP_INTR`: something changed while it was listed.
const INTERRUPTED: u16 = 16;

/// A question or an order, behind its header.
pub(crate) fn encode<M: NetlinkSerializable>(message: M, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// One message of the kernel's.
#[derive(Debug)]
pub(crate) struct Answer<'b> {
    /// Which question it answers.
    pub(crate) sequence: u32,
    /// Whether the list that it is of may lack something.
    pub(crate) is_interrupted: bool,
    /// What it says.
    pub(crate) content: Content<'b>,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Content<'b> {
    /// That is all, or it is done.
    End,
    /// It will not be done.
    Refused(io::Error),
    /// One of a list: its type and what is behind the header.
    Item(u16, &'b [u8]),
}

/// Cuts what the kernel sent into messages.
pub(crate) fn answers(mut bytes: &[u8]) -> io::Result<Vec<Answer<'_>>> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let buffer = NetlinkBuffer::new_checked(bytes).map_err(not_understood)?;
        let length = usize::try_from(buffer.length()).map_err(not_understood)?;
        let payload = buffer.payload();
        let content = match buffer.message_type() {
            NLMSG_DONE | NLMSG_ERROR => {
                // Both begin with a number: 0, or an error's below it.
                let code = ErrorBuffer::new_checked(payload).map_err(not_understood)?.code();
                code.map_or(Content::End, |code| {
                    Content::Refused(io::Error::from_raw_os_error(code.get().saturating_abs()))
                })
            }
            kind => Content::Item(kind, payload),
        };
        let is_interrupted = buffer.flags() & INTERRUPTED != 0;
        answers.push(Answer { sequence: buffer.sequence_number(), is_interrupted, content });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(answers)
}

/// The kernel said what no kernel says.
pub(crate) fn not_understood(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
