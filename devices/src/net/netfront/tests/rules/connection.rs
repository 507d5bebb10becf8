//! How it connects, waits and connects again, whatever the back end and xenstore do.

use super::*;
use xen::fake::store;

#[test]
fn ports_that_the_peer_closed_lead_to_a_new_connection_e8() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        works(&net, back, 1).await;
        back.close_ports();
        assert!(transmit(&net, &[2; 60]));
        connects_again(&net, 2).await;
        assert_eq!(net.stats().resets, 1);
        works(&net, back, 3).await;
        drop(net);
    });
}

#[test]
fn a_back_end_in_another_domain_gets_pages_of_its_own_g7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        works(&net, back, 1).await;
        for domain in [3, 0, 0x7FEF].map(DomId) {
            back.restart_in(domain);
            connects_again(&net, net.stats().connections + 1).await;
            // The fake allows each domain what was lent to it and nothing else.
            works(&net, back, domain.0 as u8).await;
        }
        back.restart_in(DomId(5));
        back.write_front("backend-id", "32752");
        sleep(Duration::from_secs(30)).await;
        assert!(!net.info().link, "DOMID_SELF and the like are no back ends");
        drop(net);
    });
}

#[test]
fn a_back_end_that_comes_and_goes_does_not_keep_us_busy_x12_k3() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(100) {
            if net.info().link {
                back.say_state("5");
            }
            sleep(MOMENT * 20).await;
        }
        let connections = net.stats().connections;
        assert!((5..25).contains(&connections), "{connections} connections");
        connects_again(&net, connections + 1).await;
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn an_interface_works_on_without_xenstore_x10_x12() {
    for misdeed in [store::Misdeed::Refuse("EIO".into()), store::Misdeed::Length(9999)] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            let net = Netfront::open("0").await.unwrap();
            fake.store().misbehave_at(0, misdeed);
            fake.store().fire(&format!("{}/state", back.path()));
            for number in 0..40 {
                works(&net, back, number).await;
                sleep(Duration::from_secs(1)).await;
            }
            assert_eq!((net.stats().connections, net.info().link), (1, true));
            drop(net);
            fake.allow_leaks();
        });
    }
}

#[test]
fn states_that_make_no_sense_lead_nowhere_bad_x12() {
    for seed in 1..=50 {
        on_fake(|fake| async move {
            let mut numbers = Numbers(seed);
            let back = fake.netback(0);
            let opened = spawn(Netfront::open("0"));
            let states = ["", "x", "0", "1", "2", "3", "4", "5", "6", "7", "8", "77", "-1"];
            for _ in 0..20 {
                back.say_state(states[numbers.next(states.len() as u64) as usize]);
                sleep(MOMENT * numbers.next(40) as u32).await;
            }
            back.unplug();
            sleep(MOMENT * 200).await;
            back.plug();
            // In the end the device is as good as new.
            let net = match opened.await {
                Ok(net) => net,
                Err(_) => Netfront::open("0").await.unwrap(),
            };
            while !net.info().link {
                sleep(MOMENT * 100).await;
            }
            works(&net, back, 1).await;
            drop(net);
        });
    }
}

#[test]
fn what_stands_in_our_own_folder_is_not_believed_later_x13() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let info = net.info();
        for (name, value) in [
            ("tx-ring-ref", "1"),
            ("rx-ring-ref", "99999"),
            ("event-channel-tx", "1"),
            ("event-channel-rx", "x"),
            ("backend-id", "7"),
            ("mac", "ff:ff:ff:ff:ff:ff"),
            ("mtu", "4294967296"),
            ("request-rx-copy", "0"),
        ] {
            back.write_front(name, value);
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!((net.info(), net.stats().connections), (info, 1));
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn a_store_that_says_nothing_is_an_error_in_time_x10() {
    on_fake(|fake| async move {
        let _back = fake.netback(0);
        fake.store().die();
        let begun = Instant::now();
        let error = Netfront::open("").await.map(drop);
        let silent = frontend::Error::Store(xen::xenstore::Error::Silent);
        assert_eq!(error, Err(Error::Connection("0".into(), silent)));
        assert!(begun.elapsed() < Duration::from_secs(15));
        fake.allow_leaks();
    });
}

#[test]
fn sizes_and_counts_have_ranges_n13() {
    for (mtu, expected) in [
        ("68", 68),
        ("9000", 9000),
        ("65521", 65521),
        ("67", 1500),
        ("65522", 1500),
        ("0", 1500),
        ("-1", 1500),
        ("18446744073709551616", 1500),
        ("1500 ", 1500),
        ("", 1500),
    ] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            back.write_front("mtu", mtu);
            back.offer("multi-queue-max-queues", mtu);
            let net = Netfront::open("0").await.unwrap();
            assert_eq!(net.info().mtu, expected, "{mtu:?}");
            works(&net, back, 1).await;
            drop(net);
        });
    }
    // Without scatter-gather a frame is one page.
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.write_front("mtu", "9000");
        back.withhold("feature-sg");
        let net = Netfront::open("0").await.unwrap();
        assert_eq!(net.info().mtu, 4096 - 14);
        drop(net);
    });
}

#[test]
fn a_slow_back_end_is_waited_for_at_the_start_and_later() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.sleep();
        let opening = spawn(Netfront::open("0"));
        sleep(Duration::from_secs(100)).await;
        assert!(!opening.is_finished());
        back.wake();
        let net = timeout(Duration::from_secs(1), opening).await.unwrap().unwrap();
        works(&net, back, 1).await;
        back.restart_in(DomId(0));
        back.sleep();
        sleep(Duration::from_secs(300)).await;
        assert!(!net.info().link);
        back.wake();
        sleep(Duration::from_secs(1)).await;
        assert!(net.info().link);
        works(&net, back, 2).await;
        drop(net);
    });
}

#[test]
fn a_back_end_that_is_slow_after_our_part_is_waited_for() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let opening = spawn(Netfront::open("0"));
        // It has said what it can, and does not look at our rings.
        while back.state() != XenbusState::InitWait {
            sleep(MOMENT).await;
        }
        back.sleep();
        sleep(Duration::from_secs(100)).await;
        assert!(!opening.is_finished());
        back.wake();
        let net = timeout(Duration::from_secs(1), opening).await.unwrap().unwrap();
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn what_cannot_become_better_is_an_error_at_once() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.offer("feature-rx-copy", "0");
        let error = timeout(Duration::from_secs(1), Netfront::open("0")).await.unwrap();
        let unfit = frontend::Error::Unfit("lacks feature-rx-copy");
        assert_eq!(error.map(drop), Err(Error::Connection("0".into(), unfit)));
        let error = Netfront::open("3").await.map(drop).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no network interface 3; this domain has 0: its configuration needs one more \
             in vif=[...]"
        );
        fake.allow_leaks();
    });
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.sleep();
        let opening = spawn(Netfront::open("0"));
        sleep(Duration::from_secs(1)).await;
        back.unplug();
        let gone = Err(Error::Connection("0".into(), frontend::Error::Gone));
        assert_eq!(timeout(Duration::from_secs(1), opening).await.unwrap().map(drop), gone);
    });
}

#[test]
fn interfaces_are_told_apart_by_name() {
    on_fake(|fake| async move {
        let (_, _) = (fake.netback(0), fake.netback(12));
        let nets = [Netfront::open("0").await.unwrap(), Netfront::open("12").await.unwrap()];
        assert_eq!(nets.each_ref().map(Net::name), ["net", "net 12"]);
        drop(nets);
    });
}
