"""Whoever acts: an account in one role, at one institution or at the agency. Services take it as `by=`."""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied

from .permissions import PERMISSIONS, Permission, Role

AGENCY = 0
NOBODY = -1


@dataclass(frozen=True)
class Actor:
    """An account as it acts in this request: `scope` is an institution's id, AGENCY (all) or NOBODY (none).

    `system` marks the programme itself (commands of the owner, jobs): it may do everything and has no account.
    """

    account_id: int | None
    scope: int
    role: Role | None
    name: str = ""
    system: bool = False

    @property
    def institution_id(self) -> int | None:
        """The institution acted for; None for the agency and for nobody."""
        return self.scope if self.scope > 0 else None

    def at_institution(self) -> int:
        """The institution's id; raises PermissionDenied where the actor acts for none."""
        if self.institution_id is None:
            raise PermissionDenied("an institution")
        return self.institution_id

    def may(self, permission: Permission) -> bool:
        """True when the role carries the permission."""
        return self.system or (self.role is not None and permission in PERMISSIONS[self.role])

    def require(self, permission: Permission) -> None:
        """Raise PermissionDenied unless the role carries the permission."""
        if not self.may(permission):
            raise PermissionDenied(permission)


ANYBODY = Actor(account_id=None, scope=NOBODY, role=None)
SYSTEM = Actor(account_id=None, scope=AGENCY, role=None, name="system", system=True)
