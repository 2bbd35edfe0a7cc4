//! The loader of VServer.
