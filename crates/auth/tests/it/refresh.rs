use crate::world::{World, token};

#[tokio::test]
async fn each_use_gives_a_successor() {
    let world = World::with_ada().await;
    let mut current = world.login().await;
    for _ in 0..3 {
        let answer = world.refresh(&current).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(world.key.verifier().verify(answer.body["access_token"].as_str().unwrap()).await.is_ok());
        let next = token(&answer);
        assert_ne!(next, current);
        current = next;
    }
}

#[tokio::test]
async fn using_a_spent_token_revokes_the_whole_family_and_no_other() {
    let world = World::with_ada().await;
    let (stolen, other) = (world.login().await, world.login().await);
    let second = token(&world.refresh(&stolen).await);
    let third = token(&world.refresh(&second).await);
    assert_eq!(world.refresh(&stolen).await.problem(), (401, "refresh-token-reused"));
    assert_eq!(world.refresh(&third).await.problem(), (401, "refresh-token-invalid"));
    assert_eq!(world.refresh(&other).await.status, 200);
}

#[tokio::test]
async fn an_answer_is_given_again_while_its_successor_was_not_used() {
    let world = World::with_ada().await;
    let first = world.login().await;
    let second = token(&world.refresh(&first).await);
    assert_eq!(token(&world.refresh(&first).await), second, "the very same: nobody is overtaken");
    assert_eq!(world.refresh(&second).await.status, 200);
    assert_eq!(world.refresh(&first).await.problem(), (401, "refresh-token-reused"));
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_go_on() {
    let world = World::with_ada().await;
    let shared = world.login().await;
    let mut tabs = [shared.clone(), shared];
    for _ in 0..5 {
        let answers = futures_util::future::join_all(tabs.iter().map(|tab| world.refresh(tab))).await;
        for (tab, answer) in tabs.iter_mut().zip(&answers) {
            assert_eq!(answer.status, 200, "{answer:?}");
            *tab = token(answer);
        }
        assert_eq!(tabs[0], tabs[1]);
    }
}

#[tokio::test]
async fn a_thief_and_the_owner_do_not_both_go_on() {
    let world = World::with_ada().await;
    let stolen = world.login().await;
    let shared = token(&world.refresh(&stolen).await);
    // The other of the two was there within half a minute, and both have its successor.
    assert_eq!(token(&world.refresh(&stolen).await), shared);
    let faster = token(&world.refresh(&shared).await);
    // Each refreshes when its own access token expires, which is not at the same moment.
    world.execute("update auth.refresh_tokens set used_at = used_at - interval '31 seconds'").await;
    assert_eq!(world.refresh(&shared).await.problem(), (401, "refresh-token-reused"));
    assert_eq!(world.refresh(&faster).await.problem(), (401, "refresh-token-invalid"), "the whole family is revoked");
}

#[tokio::test]
async fn a_successor_of_a_key_that_nobody_knows_any_more_is_refused_and_ends_nothing() {
    let mut world = World::with_ada().await;
    let (old, first) = (world.key.clone(), world.login().await);
    let second = token(&world.refresh(&first).await);
    world.sign_with(forebay_auth::SigningKey::from_seed([9; 32]));
    assert_eq!(world.refresh(&first).await.problem(), (401, "refresh-token-invalid"));
    world.sign_with(forebay_auth::SigningKey::from_seed([8; 32]).also_accepting(old));
    assert_eq!(token(&world.refresh(&first).await), second, "known during a rotation");
    assert_eq!(world.refresh(&second).await.status, 200);
}

#[tokio::test]
async fn after_half_a_minute_an_answer_is_not_lost_but_a_token_stolen() {
    let world = World::with_ada().await;
    let first = world.login().await;
    assert_eq!(world.refresh(&first).await.status, 200);
    world.execute("update auth.refresh_tokens set used_at = used_at - interval '31 seconds'").await;
    assert_eq!(world.refresh(&first).await.problem(), (401, "refresh-token-reused"));
}

#[tokio::test]
async fn asking_again_does_not_extend_the_half_minute() {
    let world = World::with_ada().await;
    let first = world.login().await;
    assert_eq!(world.refresh(&first).await.status, 200);
    world.execute("update auth.refresh_tokens set used_at = used_at - interval '20 seconds'").await;
    assert_eq!(world.refresh(&first).await.status, 200);
    world.execute("update auth.refresh_tokens set used_at = used_at - interval '20 seconds'").await;
    assert_eq!(world.refresh(&first).await.problem(), (401, "refresh-token-reused"));
}

#[tokio::test]
async fn twenty_uses_at_once_have_one_successor_with_which_all_go_on() {
    let world = World::with_ada().await;
    let mut current = world.login().await;
    for _ in 0..2 {
        let answers = futures_util::future::join_all((0..20).map(|_| world.refresh(&current))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "each of them may be the answer that was lost");
        current = token(&answers[0]);
        assert!(answers.iter().all(|answer| token(answer) == current));
    }
    // The other session is the one that registering opened.
    let good = "select count(*) from auth.refresh_tokens where used_at is null \
                and session_id = (select session_id from auth.refresh_tokens where used_at is not null limit 1)";
    assert_eq!(world.count(good).await, 1);
}

#[tokio::test]
async fn expired_unknown_and_empty_tokens_are_invalid() {
    let world = World::with_ada().await;
    let token = world.login().await;
    for unknown in ["", "garbage", "\u{e9}"] {
        assert_eq!(world.refresh(unknown).await.problem(), (401, "refresh-token-invalid"), "{unknown:?}");
    }
    world.execute("update auth.refresh_tokens set expires_at = now() - interval '1 second'").await;
    assert_eq!(world.refresh(&token).await.problem(), (401, "refresh-token-invalid"));
}

#[tokio::test]
async fn a_session_ends_for_good_at_its_end() {
    let world = World::with_ada().await;
    let token = world.login().await;
    world.execute("update auth.sessions set absolute_expires_at = now() - interval '1 second'").await;
    assert_eq!(world.refresh(&token).await.problem(), (401, "refresh-token-invalid"));
}
