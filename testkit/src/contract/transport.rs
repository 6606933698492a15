//! The contract of [`Transport`]: rules that any adapter can run against itself.
//!
//! ```text
//! // tests/contract.rs of the adapter
//! lanc_testkit::transport_contract!(|nodes| { /* a fresh network of `nodes` transports */ });
//! ```
//!
//! Every rule becomes one `#[test]`, and a failure names the rule it broke. Rules about
//! broadcast, order, reliability and connections apply where the adapter's
//! [`Capabilities`](lanc_core::ports::Capabilities) declare them, and pass elsewhere.
//!
//! The networks are expected to be idle and on one host (memory, loopback), where a single frame
//! does arrive even if the transport promises nothing.

mod bench;
mod connections;
mod frames;
mod links;

use lanc_core::endpoint::LinkId;
use lanc_core::ports::Transport;

pub use connections::{
    c1_both_ends_learn_of_a_connection, c2_a_failed_dial_is_reported,
    c3_a_connection_that_ends_goes_down_at_both_ends, c4_a_full_link_becomes_writable,
    c5_nothing_sent_on_a_reliable_link_is_lost, c6_an_ordered_link_keeps_its_order,
    c7_an_orderly_close_takes_along_what_was_taken,
    c8_the_end_of_a_node_takes_along_what_was_taken,
};
pub use frames::{
    f1_the_largest_frame_arrives_whole, f2_an_empty_frame_is_a_frame,
    f3_pieces_arrive_as_one_frame, f4_one_poll_is_bounded,
    f5_dropping_a_pending_poll_loses_nothing, f6_broadcast_reaches_the_others_only,
    f7_a_slow_reader_disturbs_nobody, f8_the_last_waker_is_woken,
    f9_every_kind_of_frame_arrives_as_it_was, f10_what_was_taken_leaves_with_the_flush,
    f11_a_look_takes_nothing_from_who_waits, f12_frames_offered_together_arrive_each,
};
pub use links::{
    l1_up_comes_before_the_first_frame, l2_frames_go_both_ways_on_one_link,
    l3_connecting_again_gives_the_same_link, l4_closing_a_stale_link_does_nothing,
    l5_a_slot_is_used_again_under_another_generation, l6_a_foreign_endpoint_fails,
    l7_capabilities_keep_their_bounds, l8_the_local_endpoint_has_the_scheme,
};

/// Makes a network of the given number of transports that reach each other and nobody else.
/// Called inside a tokio runtime; every call makes a new network.
pub type Factory<'a> = &'a dyn Fn(usize) -> Vec<Box<dyn Transport>>;

/// Expands to one `#[test]` per rule of the transport contract.
///
/// Takes what makes a network: `Fn(usize) -> Vec<Box<dyn Transport>>`, see
/// [`Factory`](crate::contract::transport::Factory).
#[macro_export]
macro_rules! transport_contract {
    ($factory:expr) => {
        $crate::transport_contract! { $factory;
            l1_up_comes_before_the_first_frame
            l2_frames_go_both_ways_on_one_link
            l3_connecting_again_gives_the_same_link
            l4_closing_a_stale_link_does_nothing
            l5_a_slot_is_used_again_under_another_generation
            l6_a_foreign_endpoint_fails
            l7_capabilities_keep_their_bounds
            l8_the_local_endpoint_has_the_scheme
            f1_the_largest_frame_arrives_whole
            f2_an_empty_frame_is_a_frame
            f3_pieces_arrive_as_one_frame
            f4_one_poll_is_bounded
            f5_dropping_a_pending_poll_loses_nothing
            f6_broadcast_reaches_the_others_only
            f7_a_slow_reader_disturbs_nobody
            f8_the_last_waker_is_woken
            f9_every_kind_of_frame_arrives_as_it_was
            f10_what_was_taken_leaves_with_the_flush
            f11_a_look_takes_nothing_from_who_waits
            f12_frames_offered_together_arrive_each
            c1_both_ends_learn_of_a_connection
            c2_a_failed_dial_is_reported
            c3_a_connection_that_ends_goes_down_at_both_ends
            c4_a_full_link_becomes_writable
            c5_nothing_sent_on_a_reliable_link_is_lost
            c6_an_ordered_link_keeps_its_order
            c7_an_orderly_close_takes_along_what_was_taken
            c8_the_end_of_a_node_takes_along_what_was_taken
        }
    };
    ($factory:expr; $($rule:ident)*) => {
        $(#[test]
        fn $rule() {
            $crate::contract::transport::$rule(&$factory);
        })*
    };
}
