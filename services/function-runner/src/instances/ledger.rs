//! What is taken of the host: by everyone, by each owner, each function and each version of one.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use slipway_kernel::{DeploymentId, FunctionId, UserId};

use crate::domain::Version;

/// What may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) instances: usize,
    pub(super) memory_mb: u64,
}

/// An instance's place on the host, from before it is started until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) owner: UserId,
    pub(super) function_id: FunctionId,
    deployment_id: DeploymentId,
    pub(super) memory_mb: u64,
}

/// What is taken, and how much of that is about to be given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) instances: usize,
    memory_mb: u64,
    pub(super) leaving: usize,
    leaving_mb: u64,
}

/// What cannot be had more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The function has as many instances as it may.
    FunctionInstances(usize),
    /// Its owner has.
    OwnerInstances(usize),
    /// Its owner's instances have all the memory, in MiB, that they may have together.
    OwnerMemory(u64),
    /// The host has as many instances as it may.
    HostInstances(usize),
    /// The host's instances have all the memory, in MiB, that they may have together.
    HostMemory(u64),
    /// Nothing: an instance is on its way.
    None,
}

/// The seats that are taken. Each change and each question takes the same time, however many there are.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    host: Taken,
    owners: HashMap<UserId, Taken>,
    functions: HashMap<FunctionId, Taken>,
    deployments: HashMap<DeploymentId, Taken>,
}

impl Seat {
    pub(super) fn of(version: &Version) -> Self {
        Self {
            owner: version.owner,
            function_id: version.function_id,
            deployment_id: version.deployment_id,
            memory_mb: version.config.memory_mb.into(),
        }
    }
}

impl Taken {
    /// Returns how many instances are there to stay.
    pub(super) fn staying(self) -> usize {
        self.instances - self.leaving
    }

    /// Tells whether `seat` fits into `room` beside this, less what `gone` stands for.
    pub(super) fn leaves_room(self, seat: Seat, room: Room, gone: Gone) -> bool {
        self.instances < room.instances + gone.instances
            && self.memory_mb + seat.memory_mb <= room.memory_mb + gone.memory_mb
    }

    /// Returns how many more instances of so much memory `room` holds beside this.
    pub(super) fn room_for(self, memory_mb: u64, room: Room) -> usize {
        let free_mb = room.memory_mb.saturating_sub(self.memory_mb);
        let by_memory = free_mb.checked_div(memory_mb).unwrap_or(0);
        let by_number = room.instances.saturating_sub(self.instances);
        by_number.min(usize::try_from(by_memory).unwrap_or(usize::MAX))
    }

    /// Returns what is about to be given back.
    pub(super) fn leaving(self) -> Gone {
        Gone { instances: self.leaving, memory_mb: self.leaving_mb }
    }

    fn lacks_instances(self, room: Room) -> bool {
        self.instances >= room.instances
    }
}

/// What would be given back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gone {
    pub(super) instances: usize,
    pub(super) memory_mb: u64,
}

impl Ledger {
    /// Takes a seat.
    pub(super) fn take(&mut self, seat: Seat) {
        self.change(seat, |taken| {
            taken.instances += 1;
            taken.memory_mb += seat.memory_mb;
        });
    }

    /// Marks a seat that is about to be given back.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.change(seat, |taken| {
            taken.leaving += 1;
            taken.leaving_mb += seat.memory_mb;
        });
    }

    /// Gives back a seat that was marked.
    pub(super) fn free(&mut self, seat: Seat) {
        self.change(seat, |taken| {
            taken.instances -= 1;
            taken.memory_mb -= seat.memory_mb;
            taken.leaving -= 1;
            taken.leaving_mb -= seat.memory_mb;
        });
        forget_if_none(&mut self.owners, &seat.owner);
        forget_if_none(&mut self.functions, &seat.function_id);
        forget_if_none(&mut self.deployments, &seat.deployment_id);
    }

    pub(super) fn host(&self) -> Taken {
        self.host
    }

    pub(super) fn owner(&self, id: UserId) -> Taken {
        self.owners.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn function(&self, id: FunctionId) -> Taken {
        self.functions.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn deployment(&self, id: DeploymentId) -> Taken {
        self.deployments.get(&id).copied().unwrap_or_default()
    }

    /// Says what a seat is short of now, of the owner's room and of the host's.
    pub(super) fn shortage(&self, seat: Seat, owner_room: Room, host_room: Room) -> Shortage {
        let (owner, host) = (self.owner(seat.owner), self.host);
        if owner.lacks_instances(owner_room) {
            Shortage::OwnerInstances(owner_room.instances)
        } else if !owner.leaves_room(seat, owner_room, Gone::default()) {
            Shortage::OwnerMemory(owner_room.memory_mb)
        } else if host.lacks_instances(host_room) {
            Shortage::HostInstances(host_room.instances)
        } else if !host.leaves_room(seat, host_room, Gone::default()) {
            Shortage::HostMemory(host_room.memory_mb)
        } else {
            Shortage::None
        }
    }

    fn change(&mut self, seat: Seat, change: impl Fn(&mut Taken)) {
        change(&mut self.host);
        change(self.owners.entry(seat.owner).or_default());
        change(self.functions.entry(seat.function_id).or_default());
        change(self.deployments.entry(seat.deployment_id).or_default());
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FunctionInstances(most) => write!(f, "all {most} instances of the function are busy"),
            Self::OwnerInstances(most) => {
                write!(f, "the functions of its owner have the {most} instances that one owner may have")
            }
            Self::OwnerMemory(most) => {
                write!(f, "the functions of its owner use the {most} MiB of memory that one owner may use")
            }
            Self::HostInstances(most) => write!(f, "the host runs the {most} instances that it may"),
            Self::HostMemory(most) => {
                write!(f, "the {most} MiB of memory that the host gives to functions are in use")
            }
            Self::None => write!(f, "instances are being started"),
        }
    }
}

fn forget_if_none<K: Eq + Hash>(map: &mut HashMap<K, Taken>, key: &K) {
    if map.get(key).is_some_and(|taken| taken.instances == 0) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(owner: UserId, memory_mb: u64) -> Seat {
        Seat {
            owner,
            function_id: FunctionId::generate(),
            deployment_id: DeploymentId::generate(),
            memory_mb,
        }
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let mut ledger = Ledger::default();
        let seat = seat(UserId::generate(), 100);
        ledger.take(seat);
        assert_eq!(ledger.owner(seat.owner).staying(), 1);
        ledger.leave(seat);
        assert_eq!((ledger.function(seat.function_id).instances, ledger.host().staying()), (1, 0));
        ledger.free(seat);
        assert_eq!(ledger.host(), Taken::default());
        assert!(ledger.owners.is_empty() && ledger.functions.is_empty() && ledger.deployments.is_empty());
    }

    #[test]
    fn a_shortage_names_what_is_full_the_owners_room_first() {
        let owner = UserId::generate();
        let mut ledger = Ledger::default();
        ledger.take(seat(owner, 100));
        let room = |instances, memory_mb| Room { instances, memory_mb };
        let wanted = seat(owner, 100);
        let short = |owner_room, host_room| ledger.shortage(wanted, owner_room, host_room);
        assert_eq!(short(room(1, 1_000), room(1, 1_000)), Shortage::OwnerInstances(1));
        assert_eq!(short(room(2, 199), room(1, 1_000)), Shortage::OwnerMemory(199));
        assert_eq!(short(room(2, 200), room(1, 1_000)), Shortage::HostInstances(1));
        assert_eq!(short(room(2, 200), room(2, 199)), Shortage::HostMemory(199));
        assert_eq!(short(room(2, 200), room(2, 200)), Shortage::None);
    }
}
