//! The user and the groups of the children. The master keeps its own, so that it can bind again on a reload.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};
use oxicorn_common::Settings;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegesError {
    #[error("only root can change {what} (this is uid {uid}): start as root, or leave it unset")]
    NotRoot { what: &'static str, uid: Uid },

    #[error("cannot change {what}")]
    System {
        what: &'static str,
        #[source]
        source: Errno,
    },
}

/// Whether children can get the user and the group of the settings.
pub(crate) fn check(settings: &Settings) -> Result<(), PrivilegesError> {
    let uid = geteuid();
    let other_user = settings.user.is_some_and(|user| user != uid);
    let other_group = settings.group.is_some_and(|group| group != getegid());
    if uid.is_root() || !(other_user || other_group) {
        return Ok(());
    }
    let what = if other_user { "user" } else { "group" };
    Err(PrivilegesError::NotRoot { what, uid })
}

/// Takes on user, groups and umask of the settings, permanently. For a child, after the fork.
pub(crate) fn drop_to(settings: &Settings) -> Result<(), PrivilegesError> {
    // Zero, the default, keeps the mask of the environment: files open to everybody would be a surprise.
    if settings.umask != 0 {
        umask(Mode::from_bits_truncate(settings.umask));
    }
    let failed = |what| move |source| PrivilegesError::System { what, source };
    let user = settings.user.filter(|&user| user != geteuid());
    let group = group(settings).filter(|&group| group != getegid());
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    let gid = group.unwrap_or_else(getegid);
    // Without a group, the child gets all groups of the user, as after a login.
    let with_groups = settings.initgroups || settings.group.is_none();
    if let Some(user) = settings.user.filter(|_| with_groups).and_then(account)
        && let Ok(name) = CString::new(user.name)
    {
        initgroups(&name, gid).map_err(failed("the supplementary groups"))?;
    } else if geteuid().is_root() {
        // An unprivileged user must not keep the groups of root.
        setgroups(&[gid]).map_err(failed("the supplementary groups"))?;
    }
    if let Some(group) = group {
        setgid(group).map_err(failed("group"))?;
    }
    if let Some(user) = user {
        setuid(user).map_err(failed("user"))?;
    }
    Ok(())
}

/// The group of the children: that of the settings, or the login group of the user.
fn group(settings: &Settings) -> Option<Gid> {
    let of_user = || {
        let user = settings.user.filter(|&user| user != geteuid())?;
        Some(account(user)?.gid)
    };
    settings.group.or_else(of_user)
}

fn account(user: Uid) -> Option<User> {
    User::from_uid(user).ok().flatten()
}

/// A warning about the rights that the children will have.
pub(crate) fn warning(settings: &Settings) -> Option<String> {
    let user = settings
        .user
        .filter(|user| geteuid().is_root() && !user.is_root())?;
    if group(settings).is_some() {
        return None;
    }
    let own = getegid();
    Some(format!(
        "user {user} is not in the user database, so its group is not known: the children keep group \
         {own} of the master; set group"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_are_already_needs_no_root() {
        let settings = Settings {
            user: Some(geteuid()),
            group: Some(getegid()),
            ..Settings::default()
        };
        check(&settings).expect("nothing to change");
        drop_to(&settings).expect("nothing to change");
    }
}
