use std::time::Duration;

use super::*;

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn slice() -> Duration {
    Duration::from_millis(5)
}

#[test]
fn the_stacks_of_a_burst_go_back_bit_by_bit() {
    let mut stacks = StackPool::default();
    let burst: Vec<_> = (0..200).map(|_| stacks.take().unwrap()).collect();
    burst.into_iter().for_each(|stack| stacks.give(stack));
    assert_eq!(stacks.kept.len(), 200);
    let mut left = Vec::new();
    while stacks.is_untidy() {
        stacks.tidy();
        left.push(stacks.kept.len());
    }
    assert_eq!(left, [136, 72, 32]);
}

#[test]
fn a_fiber_suspends_and_ends_with_its_value() {
    let mut stacks = StackPool::default();
    let control = Control::new();
    control.begin(far_future());
    let inside = Rc::clone(&control);
    let mut fiber = Fiber::new(stacks.take().unwrap(), Rc::clone(&control), inside, |inside| {
        assert!(inside.suspend(Pause::Wait));
        7
    });
    assert!(matches!(
        fiber.resume(slice(), &mut stacks),
        Step::Paused(Pause::Wait)
    ));
    assert!(matches!(fiber.resume(slice(), &mut stacks), Step::Done(Ok(7))));
    assert_eq!(stacks.kept.len(), 1);
}

#[test]
fn polling_suspends_at_the_end_of_the_slice_and_ends_at_the_deadline() {
    let mut stacks = StackPool::default();
    let control = Control::new();
    control.begin(Instant::now() + Duration::from_millis(20));
    let inside = Rc::clone(&control);
    let mut fiber = Fiber::new(stacks.take().unwrap(), Rc::clone(&control), inside, |inside| {
        while !inside.poll() {}
    });
    let mut pauses = 0;
    while let Step::Paused(Pause::Slice) = fiber.resume(Duration::from_millis(1), &mut stacks) {
        pauses += 1;
    }
    assert!(pauses > 1);
    assert_eq!(control.killed(), Some(Kill::Deadline));
}

#[test]
fn ending_a_suspended_fiber_runs_it_to_its_end() {
    struct Flag(Rc<Cell<bool>>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let mut stacks = StackPool::default();
    let control = Control::new();
    control.begin(far_future());
    let ended = Rc::new(Cell::new(false));
    let data = (Rc::clone(&control), Rc::clone(&ended));
    let mut fiber = Fiber::new(stacks.take().unwrap(), control, data, |(inside, ended)| {
        let _flag = Flag(Rc::clone(ended));
        while inside.suspend(Pause::Wait) {}
    });
    let _ = fiber.resume(slice(), &mut stacks);
    fiber.end(&mut stacks);
    assert!(ended.get());
    assert_eq!(stacks.kept.len(), 1);
}

#[test]
fn a_control_cannot_suspend_from_outside_its_fiber() {
    let mut stacks = StackPool::default();
    let (one, two) = (Control::new(), Control::new());
    one.begin(far_future());
    two.begin(far_future());
    assert!(!one.suspend(Pause::Wait), "not on the scheduler's stack");
    let wait: fn(&Rc<Control>) -> bool = |control| control.suspend(Pause::Wait);
    let mut first = Fiber::new(stacks.take().unwrap(), Rc::clone(&one), Rc::clone(&one), wait);
    let _ = first.resume(slice(), &mut stacks);
    let mut second = Fiber::new(stacks.take().unwrap(), two, Rc::clone(&one), wait);
    assert!(matches!(
        second.resume(slice(), &mut stacks),
        Step::Done(Ok(false))
    ));
    first.end(&mut stacks);
}

#[test]
fn an_abandoned_fiber_drops_what_it_owns_but_nothing_on_its_stack() {
    let mut stacks = StackPool::default();
    for _ in 0..100 {
        let control = Control::new();
        control.begin(far_future());
        let (owned, local) = (Rc::new(()), Rc::new(()));
        let data = (Rc::clone(&control), Rc::clone(&owned), Rc::clone(&local));
        let mut fiber = Fiber::new(
            stacks.take().unwrap(),
            Rc::clone(&control),
            data,
            |(inside, _, local)| {
                let _local = Rc::clone(local);
                inside.stall();
            },
        );
        assert!(matches!(
            fiber.resume(slice(), &mut stacks),
            Step::Paused(Pause::Stall)
        ));
        assert!(control.is_suspect() && !control.is_wrecked());
        fiber.abandon(&mut stacks);
        assert!(control.is_wrecked());
        assert_eq!(Rc::strong_count(&owned), 1);
        assert_eq!(Rc::strong_count(&local), 2, "leaked, as said");
        assert_eq!(stacks.kept.len(), 1, "and the stack is used again");
    }
    stacks.tidy();
}

#[test]
fn a_panic_stays_inside_and_the_stack_is_kept() {
    let mut stacks = StackPool::default();
    let control = Control::new();
    control.begin(far_future());
    let mut fiber = Fiber::new(stacks.take().unwrap(), control, (), |()| -> u8 {
        std::panic::panic_any("inside")
    });
    assert!(matches!(fiber.resume(slice(), &mut stacks), Step::Done(Err(_))));
    assert_eq!(stacks.kept.len(), 1);
}
