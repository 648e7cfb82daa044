use super::*;

/// A small generator, so that failures repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides).unwrap()
    }
}

#[test]
fn blocks_keep_their_bytes_and_the_heap_its_order() {
    let arena = Arena::new(16 << 20).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut live: Vec<(*mut u8, usize, u8)> = Vec::new();
    for turn in 0..20_000_u32 {
        let heap = unsafe { &mut *arena.heap };
        let mark = (turn % 251) as u8;
        let size = match dice.roll(10) {
            0 => dice.roll(300_000) + 1,
            1..=3 => dice.roll(5000) + 1,
            4..=6 => 4000 + dice.roll(96),
            _ => dice.roll(64) + 1,
        };
        if live.len() > 400 || (dice.roll(3) == 0 && !live.is_empty()) {
            let (at, len, was) = live.swap_remove(dice.roll(live.len() as u64));
            unsafe {
                assert!((0..len).all(|index| *at.add(index) == was));
                heap.free(at);
            }
        } else if dice.roll(4) == 0 && !live.is_empty() {
            let chosen = dice.roll(live.len() as u64);
            let (at, len, was) = live[chosen];
            let moved = unsafe { heap.realloc(at, size) };
            if !moved.is_null() {
                unsafe {
                    assert!((0..len.min(size)).all(|index| *moved.add(index) == was));
                    moved.write_bytes(mark, size);
                }
                live[chosen] = (moved, size, mark);
            }
        } else {
            let zeroed = dice.roll(2) == 0;
            let at = if zeroed {
                heap.alloc_zeroed(1, size)
            } else {
                heap.alloc(size)
            };
            if !at.is_null() {
                unsafe {
                    assert!(!zeroed || (0..size).all(|index| *at.add(index) == 0));
                    assert!(Heap::usable(at) >= size);
                    assert_eq!(at as usize % 8, 0);
                    at.write_bytes(mark, size);
                }
                live.push((at, size, mark));
            }
        }
        if turn % 500 == 0 {
            heap.check();
            heap.trim();
        }
    }
    let heap = unsafe { &mut *arena.heap };
    for (at, len, was) in live {
        unsafe {
            assert!((0..len).all(|index| *at.add(index) == was));
            heap.free(at);
        }
    }
    assert_eq!(heap.check(), 0);
    assert_eq!(arena.used(), 0);
}

#[test]
fn the_range_ends_hard_and_absurd_sizes_are_refused() {
    let arena = Arena::new(1 << 20).unwrap();
    let heap = unsafe { &mut *arena.heap };
    assert!(heap.alloc(usize::MAX).is_null());
    assert!(heap.alloc_zeroed(usize::MAX, 2).is_null());
    assert!(heap.alloc(1 << 30).is_null());
    let mut taken = 0;
    while !heap.alloc(100_000).is_null() {
        taken += 1;
    }
    assert_eq!(taken, 10);
    assert!(heap.alloc(100_000).is_null());
    assert!(!heap.alloc(64).is_null(), "room for an error");
    heap.lift_limit();
    while !heap.alloc(100_000).is_null() {
        taken += 1;
    }
    assert!((90..110).contains(&taken), "{taken}");
    heap.check();
}

#[test]
#[cfg(target_os = "linux")]
fn freed_memory_goes_back_to_the_system() {
    let arena = Arena::new(64 << 20).unwrap();
    let heap = unsafe { &mut *arena.heap };
    let resident = || {
        let mut pages = vec![0_u8; arena.pages.len() / arena.pages.page()];
        let code = unsafe {
            libc::mincore(
                arena.pages.base().as_ptr().cast(),
                arena.pages.len(),
                pages.as_mut_ptr(),
            )
        };
        assert_eq!(code, 0);
        pages.iter().filter(|page| **page & 1 == 1).count() * arena.pages.page()
    };
    let large = heap.alloc(32 << 20);
    unsafe { large.write_bytes(1, 32 << 20) };
    let pin = heap.alloc(64);
    assert!(!pin.is_null());
    assert!(resident() > 32 << 20);
    unsafe { heap.free(large) };
    assert!(resident() < 1 << 20, "{}", resident());
    let again = heap.alloc_zeroed(1, 32 << 20);
    assert_eq!(again, large);
    unsafe { heap.free(again) };
    unsafe { heap.free(pin) };
    assert!(resident() < 1 << 20, "{}", resident());
}

#[test]
fn a_runtime_is_buried_whatever_its_heap_looks_like() {
    let arena = Arena::new(32 << 20).unwrap();
    let runtime = arena.runtime().unwrap();
    let dropped = std::rc::Rc::new(());
    let inside = std::rc::Rc::clone(&dropped);
    runtime.set_interrupt_handler(Some(Box::new(move || {
        let _ = &inside;
        false
    })));
    let context = Context::full(&runtime).unwrap();
    assert!(ptr::eq(
        unsafe { (*arena.heap).first_payload() }.cast(),
        context.get_runtime_ptr()
    ));
    let sum: i32 = context
        .with(|ctx| ctx.eval("var a = []; for (let i = 0; i < 1e4; i++) a.push({i}); a.length"))
        .unwrap();
    assert_eq!(sum, 10_000);
    // A wrecked heap: nothing of it may be read again, beyond the pointer to the tables.
    unsafe {
        let first = (*arena.heap).first_payload();
        let tables = qjs::JS_GetRuntimeOpaque(first.cast());
        let end = (*arena.heap).top();
        let from = first as usize - arena.pages.base().as_ptr() as usize;
        first.write_bytes(0xA5, end - from);
        qjs::JS_SetRuntimeOpaque(first.cast(), tables);
    }
    bury(runtime, Some(context), arena);
    assert_eq!(std::rc::Rc::strong_count(&dropped), 1, "the handler was freed");
}

#[test]
fn the_next_heap_is_ready_if_it_has_the_same_limit() {
    prepare();
    assert!(!has_spare(), "nobody wants one yet");
    drop(Arena::new(16 << 20).unwrap());
    prepare();
    assert!(has_spare());
    let made = SPARE.take().unwrap();
    let place = made.1.heap;
    SPARE.set(Some(made));
    let next = Arena::new(16 << 20).unwrap();
    assert_eq!(next.heap, place);
    assert!(!has_spare());
    prepare();
    let other = Arena::new(32 << 20).unwrap();
    assert!(other.pages.len() > 32 << 20);
    assert!(!has_spare(), "one for another limit is not kept");
    prepare();
    assert!(has_spare());
    forget_spare();
    prepare();
    assert!(
        !has_spare(),
        "one is made for each skill that starts, not for nothing"
    );
}

#[test]
fn the_memory_limit_holds_inside_an_arena() {
    let arena = Arena::new(16 << 20).unwrap();
    let runtime = arena.runtime().unwrap();
    runtime.set_memory_limit(16 << 20);
    let context = Context::full(&runtime).unwrap();
    let bomb = "var kept = [], text; try { for (;;) kept.push(new Uint8Array(65536)); } \
                catch (error) { text = String(error); } text";
    let message: String = context.with(|ctx| ctx.eval(bomb).unwrap());
    let size = usize::try_from(runtime.memory_usage().malloc_size).unwrap();
    assert!(message.contains("out of memory"), "{message}");
    assert!(size <= 16 << 20 && size > 15 << 20, "{size}");
    assert!(arena.used() < 17 << 20);
    let alive: i32 = context.with(|ctx| ctx.eval("kept = null; 6 * 7")).unwrap();
    assert_eq!(alive, 42);
}
