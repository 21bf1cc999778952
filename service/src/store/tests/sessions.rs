//! Sessions.

use crate::store::testing::each;
use std::time::Duration;

use crate::model::{NewUser, StoredJson, Timestamp};
use crate::store::Now;

#[test]
fn sessions_end_with_their_time_or_their_user() {
    each(|store| {
        let now = Timestamp::now();
        let user = NewUser {
            username: "a".to_owned(),
            email: "a@b.org".to_owned(),
            full_name: None,
        };
        let user = store
            .create_user(&user, Now::Store)
            .expect("a user")
            .user_id;
        let minute = Duration::from_secs(60);
        let create =
            |user| store.create_session(user, &StoredJson::default(), minute, Now::At(now));
        assert_eq!(create(user + 1).expect("no error"), None);
        let session = create(user).expect("no error").expect("a session");
        assert_eq!(session.session_id.len(), 32);
        let at = |seconds: i64| Now::At(Timestamp(now.0 + seconds * 1000));
        let left = |id: &str, at| {
            let found = store.session(id, at).expect("a look");
            found.map(|(_, left)| left.as_secs())
        };
        let alive = |id: &str, at| left(id, at).is_some();
        assert_eq!(left(&session.session_id, at(50)), Some(10));
        assert!(alive(&session.session_id, at(59)) && !alive(&session.session_id, at(60)));
        let refreshed = store.refresh_session(&session.session_id, None, minute, at(30));
        assert!(refreshed.expect("no error").is_some());
        assert!(alive(&session.session_id, at(89)));
        store.delete_user(user).expect("a deletion");
        assert!(!alive(&session.session_id, at(31)));
    });
}
