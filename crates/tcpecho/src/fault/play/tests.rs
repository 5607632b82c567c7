use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn play(text: &str) -> Play {
    Play::new(Arc::new(text.parse().unwrap()), 7, 1)
}

/// Sends whatever is to be sent without waiting. Returns it, and what comes next.
fn sends(play: &mut Play, now: Instant) -> (Vec<u8>, Next) {
    let mut sent = Vec::new();
    loop {
        match play.next(now) {
            Next::Send(most) => {
                sent.extend_from_slice(&play.pending()[..most]);
                play.on_sent(most, now);
            }
            next => return (sent, next),
        }
    }
}

#[test]
fn a_step_asks_for_no_byte_that_it_does_not_need() {
    let now = Instant::now();
    let mut play = play("echo 5; discard 3; send \"!\"; reset");
    assert_eq!(play.next(now), Next::Receive(5));
    play.on_received(b"he").unwrap();
    assert_eq!(sends(&mut play, now), (b"he".to_vec(), Next::Receive(3)));
    play.on_received(b"llo").unwrap();
    assert_eq!(sends(&mut play, now), (b"llo".to_vec(), Next::Receive(3)));
    play.on_received(b"abc").unwrap();
    assert_eq!(sends(&mut play, now), (b"!".to_vec(), Next::AwaitAcknowledgement));
    play.on_acknowledged();
    assert_eq!(play.next(now), Next::Reset);
    let fired = play.fired(true);
    assert_eq!((fired.completed, fired.unexpected), (4, false));
}

#[test]
fn a_fin_ends_the_steps_that_receive_and_no_others() {
    let now = Instant::now();
    let mut play = play("echo 5; discard 9; pause 1s; wait-fin; send \"x\"; close");
    play.on_received(b"").unwrap();
    assert_eq!(play.next(now), Next::Receive(5));
    play.on_fin();
    assert_eq!(play.next(now), Next::Wait(now + SECOND));
    assert_eq!(sends(&mut play, now + SECOND), (b"x".to_vec(), Next::Close));
}

#[test]
fn repeat_sends_the_bytes_again_when_all_have_come_or_fin_has() {
    let now = Instant::now();
    for fin in [false, true] {
        let mut play = play(if fin { "repeat 9; echo all" } else { "repeat 4; echo all" });
        play.next(now);
        play.on_received(b"ab").unwrap();
        assert_eq!(sends(&mut play, now).0, b"ab");
        play.on_received(b"cd").unwrap();
        if fin {
            assert_eq!(sends(&mut play, now).0, b"cd");
            play.on_fin();
            assert_eq!(sends(&mut play, now), (b"abcd".to_vec(), Next::Close));
        } else {
            assert_eq!(sends(&mut play, now), (b"cdabcd".to_vec(), Next::Receive(MOST_READ)));
        }
    }
}

#[test]
fn corrupt_changes_one_bit_that_depends_on_the_seed_only() {
    let now = Instant::now();
    let corrupted = |seed, n, cut: usize| {
        let mut play = Play::new(Arc::new("send \"abc\"; corrupt 100".parse().unwrap()), seed, n);
        sends(&mut play, now);
        let mut all = Vec::new();
        for part in [&[0; 100][..cut], &[0; 100][cut..]] {
            play.on_received(part).unwrap();
            all.extend(sends(&mut play, now).0);
        }
        let changed: Vec<usize> = (0..100).filter(|at| all[*at] != 0).collect();
        assert_eq!((all.len(), changed.len(), all[changed[0]].count_ones()), (100, 1, 1));
        let flips = play.fired(true).flips;
        let bit = all[changed[0]].trailing_zeros() as u8;
        assert_eq!(flips, [Flip { byte: 3 + changed[0] as u64, bit }]);
        flips[0]
    };
    let flips: Vec<Flip> = (0..100).map(|n| corrupted(1, n, n as usize)).collect();
    for (n, flip) in flips.iter().enumerate() {
        assert_eq!(corrupted(1, n as u64, 50), *flip);
    }
    assert!((0..100).any(|n| corrupted(2, n, 10) != flips[n as usize]));
    assert!(flips.iter().any(|flip| flip != &flips[0]));
}

#[test]
fn expect_resets_on_the_first_other_byte_and_on_fin() {
    let now = Instant::now();
    for (said, fin, right) in
        [("USER x", false, true), ("USEX x", false, false), ("USER", true, false)]
    {
        let mut play = play("expect \"USER x\"; send \"ok\"");
        let (first, rest) = said.split_at(3);
        for part in [first, rest] {
            if let Next::Receive(most) = play.next(now) {
                assert!(most <= 6);
                play.on_received(part.as_bytes()).unwrap();
            }
        }
        if fin {
            play.on_fin();
        }
        let wanted = if right { (b"ok".to_vec(), Next::Close) } else { (Vec::new(), Next::Reset) };
        assert_eq!(sends(&mut play, now), wanted, "{said}");
        let fired = play.fired(true);
        assert_eq!((fired.unexpected, fired.completed), (!right, if right { 2 } else { 0 }));
    }
}

#[test]
fn chunk_waits_before_each_piece() {
    let start = Instant::now();
    let mut play = play("chunk 2 every 1s; echo 5");
    play.next(start);
    play.on_received(b"hello").unwrap();
    let mut now = start;
    for piece in [&b"he"[..], b"ll", b"o"] {
        assert_eq!(play.next(now), Next::Wait(now + SECOND));
        assert_eq!(play.next(now), Next::Wait(now + SECOND));
        now += SECOND;
        assert_eq!(play.next(now), Next::Send(piece.len()));
        // The socket takes less than a piece; the rest does not wait again.
        play.on_sent(1, now);
        if piece.len() > 1 {
            assert_eq!(play.next(now), Next::Send(1));
            play.on_sent(1, now);
        }
    }
    assert_eq!(play.next(now), Next::Close);
}

#[test]
fn rate_is_never_exceeded() {
    let start = Instant::now();
    for rate in [1_u64, 10, 1000, 100_000] {
        let mut play = play(&format!("rate {rate}/s; echo all"));
        let (mut now, mut sent) = (start, 0_u64);
        for _ in 0..200 {
            match play.next(now) {
                Next::Receive(most) => play.on_received(&vec![0; most]).unwrap(),
                Next::Wait(until) => now = until,
                Next::Send(most) => {
                    // What went out before this piece has had its time.
                    let least = Duration::from_secs_f64(sent as f64 / rate as f64);
                    assert!(now - start + Duration::from_micros(1) >= least, "{rate}: {sent}");
                    sent += most as u64;
                    play.on_sent(most, now);
                }
                next => panic!("{next:?}"),
            }
        }
        assert!(sent > 0);
    }
}

#[test]
fn jitter_stays_in_its_range_and_varies() {
    let now = Instant::now();
    let pauses: Vec<Duration> = (0..200)
        .map(|n| {
            let script = Arc::new("pause 100ms±50ms".parse().unwrap());
            let Next::Wait(until) = Play::new(script, 3, n).next(now) else { panic!() };
            until - now
        })
        .collect();
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= Duration::from_millis(50) && *most <= Duration::from_millis(150));
    assert!(*most > *least + Duration::from_millis(50));
}

#[test]
fn a_fin_is_sent_once_and_receiving_goes_on() {
    let now = Instant::now();
    let mut play = play("fin; discard 2; reset");
    assert_eq!(play.next(now), Next::Fin);
    play.on_fin_sent();
    assert_eq!(play.next(now), Next::Receive(2));
    play.on_received(b"ab").unwrap();
    assert_eq!(play.next(now), Next::AwaitAcknowledgement);
}

#[test]
fn an_empty_buffer_is_given_back() {
    let now = Instant::now();
    let mut play = play("echo all");
    play.next(now);
    play.on_received(&vec![0; MOST_READ]).unwrap();
    sends(&mut play, now);
    assert!(play.pending.capacity() <= KEPT_BUFFER);
}
