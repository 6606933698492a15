//! Engine: a call through two of them, from its request to its outcome, frames in memory.

use divan::Bencher;
use divan::counter::ItemsCount;
use lanc_bench::pair::{Form, Pair};

fn step(bencher: Bencher, form: Form, in_flight: u64) {
    let mut pair = Pair::new(form);
    // Everything grows to its size first.
    (0..1000).for_each(|_| pair.call(in_flight));
    bencher.counter(ItemsCount::new(in_flight)).bench_local(|| pair.call(in_flight));
}

#[divan::bench(args = Form::ALL)]
fn one_call(bencher: Bencher, form: Form) {
    step(bencher, form, 1);
}

#[divan::bench(args = Form::ALL)]
fn calls_64_at_once(bencher: Bencher, form: Form) {
    step(bencher, form, 64);
}
