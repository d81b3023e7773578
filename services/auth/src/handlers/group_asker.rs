use slipway_kernel::Origin;
use slipway_models::permissions::Permission;
use slipway_web::Caller;

use crate::domain::Asker;

/// Says who asks for something of a group.
pub(super) fn asker(caller: &Caller, origin: Origin) -> Asker {
    let is_manager = Permission::ManageUsers.is_held_by(caller.user_type());
    Asker { user: caller.user_id(), is_manager, origin }
}
