//! What the fields of a message mean, per dialect.
//!
//! A codec is syntax; a dialect is vocabulary and manners. [`native`] is LANC 0.2. Older forms
//! of the protocol translate to and from the same [`Message`](crate::message::Message) in files
//! of their own beside it, so that no other part asks which dialect a peer speaks.

pub mod native;
