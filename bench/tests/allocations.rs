//! What calls cost two engines in allocations, both together, once everything has its size. To
//! link the counter is to make this binary's allocator a counting one; it counts for each thread.

use allocation_counter::measure;
use lanc_bench::pair::{Form, Pair};

const CALLS: u64 = 2048;
/// What timers that fire between calls may allocate, in calls for each allocation.
const CALLS_FOR_ONE: u64 = 100;
/// What a burst of 64 may: the table of open calls grows, and shrinks when they are over.
const FOR_A_BURST: u64 = 3;

#[test]
fn no_call_allocates_in_any_form_sealed_or_not() {
    for form in Form::ALL {
        for (in_flight, most) in [(1, CALLS / CALLS_FOR_ONE), (64, CALLS / 64 * FOR_A_BURST)] {
            let mut pair = Pair::new(form);
            let mut calls = || (0..CALLS / in_flight).for_each(|_| pair.call(in_flight));
            calls();
            let counted = measure(calls);
            assert!(counted.count_total <= most, "{form:?}, {in_flight} at once: {counted:?}");
        }
    }
}
