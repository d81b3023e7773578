//! Who may do what: the permission matrix, as data (ADR 22).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::UserType;

/// Something that not everyone may do. What people do with their own things is no permission: apps are granted for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See how the platform is doing.
    ViewDashboard,
    /// See the servers that workspaces run on.
    ViewServers,
    /// See the images of workspaces.
    ViewImages,
    /// Build images.
    BuildImages,
    /// Push images to a registry.
    PushImages,
    /// See, change and remove accounts.
    ManageUsers,
    /// Remove a server.
    DeleteServer,
    /// Remove an image.
    DeleteImage,
    /// Read the audit log, and have it verified.
    ViewAudit,
    /// Change the platform's settings.
    ManageSettings,
}

/// The matrix: each permission, and who has it.
const MATRIX: [(Permission, &[UserType]); 10] = [
    (Permission::ViewDashboard, &[UserType::Admin, UserType::Qvp]),
    (Permission::ViewServers, &[UserType::Admin, UserType::Qvp]),
    (Permission::ViewImages, &[UserType::Admin, UserType::Qvp]),
    (Permission::BuildImages, &[UserType::Admin, UserType::Qvp]),
    (Permission::PushImages, &[UserType::Admin, UserType::Qvp]),
    (Permission::ManageUsers, &[UserType::Admin]),
    (Permission::DeleteServer, &[UserType::Admin]),
    (Permission::DeleteImage, &[UserType::Admin]),
    (Permission::ViewAudit, &[UserType::Admin]),
    (Permission::ManageSettings, &[UserType::Admin]),
];

impl Permission {
    /// Lists what people of a type may do, in the matrix's order.
    pub fn of(user_type: UserType) -> Vec<Self> {
        let held = MATRIX.iter().filter(|(_, holders)| holders.contains(&user_type));
        held.map(|(permission, _)| *permission).collect()
    }

    /// Tells whether people of a type have it.
    pub fn is_held_by(self, user_type: UserType) -> bool {
        MATRIX.iter().any(|(permission, holders)| *permission == self && holders.contains(&user_type))
    }
}

/// `GET /users/me/permissions`: what the caller may do, as their access token states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PermissionsBody {
    /// What the caller's type allows.
    pub permissions: Vec<Permission>,
    /// The apps that the caller may use.
    #[schema(example = json!(["functions", "vault"]))]
    pub apps: Vec<String>,
    /// The caller's type.
    pub user_type: UserType,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(user_type: UserType) -> String {
        let names = Permission::of(user_type).into_iter().map(|permission| {
            assert!(permission.is_held_by(user_type));
            serde_json::to_value(permission).unwrap().as_str().unwrap().to_owned()
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_type_has_what_the_contract_says_and_no_more() {
        let seen = "view_dashboard view_servers view_images build_images push_images";
        let managed = "manage_users delete_server delete_image view_audit manage_settings";
        assert_eq!(names(UserType::Admin), format!("{seen} {managed}"));
        assert_eq!(names(UserType::Qvp), seen);
        assert_eq!(names(UserType::Regular), "");
        assert!(!Permission::ViewAudit.is_held_by(UserType::Qvp));
    }
}
