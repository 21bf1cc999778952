//! Users.

use crate::model::{NewUser, UserChange};
use crate::store::testing::each;
use crate::store::{Now, StoreError};

fn new(username: &str, email: &str) -> NewUser {
    NewUser {
        username: username.to_owned(),
        email: email.to_owned(),
        full_name: None,
    }
}

#[test]
fn names_and_addresses_are_unique_whatever_the_case() {
    each(|store| {
        let anna = store
            .create_user(&new("anna", "a@b.org"), Now::Store)
            .expect("a user");
        let taken = |user: &NewUser| match store.create_user(user, Now::Store) {
            Err(StoreError::Taken(field)) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(taken(&new("Anna", "c@b.org")), "username");
        assert_eq!(taken(&new("bob", "A@b.org")), "email");
        let change = UserChange {
            username: None,
            email: None,
            full_name: Some("Anna B".to_owned()),
        };
        let changed = store
            .change_user(anna.user_id, &change, Now::Store)
            .expect("a change");
        assert_eq!(changed.and_then(|it| it.full_name), change.full_name);
        assert!(store.delete_user(anna.user_id).expect("a deletion"));
        assert!(!store.delete_user(anna.user_id).expect("none"));
        assert_eq!(store.user(anna.user_id).expect("a look"), None);
    });
}
