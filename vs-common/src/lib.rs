//! What both sides of VServer share.
#![no_std]
