"""Names of months, and of AM and PM, in several languages (after the Unicode CLDR).

Names match in upper and lower case, with or without a trailing period. Names without their accents match
too, unless they would be ambiguous.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_EN = "january february march april may june july august september october november december"

_NAMES = {
    "en": f"{_EN} | jan feb mar apr may jun jul aug sep oct nov dec | - - - - - - - - sept - - -",
    "de": "januar februar märz april mai juni juli august september oktober november dezember"
    " | jan feb mär apr mai jun jul aug sep okt nov dez | jän feb mrz apr mai jun jul aug sept okt nov dez"
    " | jänner feber maerz - - - - - - - - - ",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    " | janv févr mars avr mai juin juil août sept oct nov déc"
    " | jan fév mar avr mai jui jul aoû sep oct nov déc | - - - - - jun - - - - - -",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
    " | ene feb mar abr may jun jul ago sept oct nov dic | - - - - - - - - sep - - -"
    " | - - - - - - - - setiembre - - -",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"
    " | gen feb mar apr mag giu lug ago set ott nov dic | - - - - - - - - sett - - -",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
    " | jan fev mar abr mai jun jul ago set out nov dez",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december"
    " | jan feb mrt apr mei jun jul aug sep okt nov dec | - - mar - - - - - sept - - -",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december"
    " | jan feb mar apr maj jun jul aug sep okt nov dec | - febr mars - - juni juli - sept - - -",
    "da": "januar februar marts april maj juni juli august september oktober november december"
    " | jan feb mar apr maj jun jul aug sep okt nov dec | - febr marts - - juni juli - sept - - -",
    "no": "januar februar mars april mai juni juli august september oktober november desember"
    " | jan feb mar apr mai jun jul aug sep okt nov des | - febr mars - - juni juli - sept - - -",
    "fi": "tammikuu helmikuu maaliskuu huhtikuu toukokuu kesäkuu heinäkuu elokuu syyskuu lokakuu"
    " marraskuu joulukuu | tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta"
    " elokuuta syyskuuta lokakuuta marraskuuta joulukuuta"
    " | tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu"
    " | tam hel maa huh tou kes hei elo syy lok mar jou",
    "pl": "styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad"
    " grudzień | stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października"
    " listopada grudnia | sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "cs": "leden únor březen duben květen červen červenec srpen září říjen listopad prosinec"
    " | ledna února března dubna května června července srpna září října listopadu prosince"
    " | led úno bře dub kvě čvn čvc srp zář říj lis pro",
    "tr": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık"
    " | oca şub mar nis may haz tem ağu eyl eki kas ara",
    "ru": "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь"
    " | января февраля марта апреля мая июня июля августа сентября октября ноября декабря"
    " | янв февр мар апр май июн июл авг сент окт нояб дек | - фев - - - - - - сен - ноя -",
    "el": "ιανουάριος φεβρουάριος μάρτιος απρίλιος μάιος ιούνιος ιούλιος αύγουστος σεπτέμβριος"
    " οκτώβριος νοέμβριος δεκέμβριος | ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου"
    " αυγούστου σεπτεμβρίου οκτωβρίου νοεμβρίου δεκεμβρίου"
    " | ιαν φεβ μαρ απρ μαΐ ιουν ιουλ αυγ σεπ οκτ νοε δεκ | - - μάρ - μάι ιούν ιούλ αύγ - - νοέ -"
    " | - - - - - - - - σεπτ - - -",
}
"""Language -> rows of twelve names. "-" means that the row has no name for this month."""

_HALVES = {
    "el": ("πμ", "μμ"),
    "tr": ("öö", "ös"),
    "fi": ("ap", "ip"),
    "sv": ("fm", "em"),
    "cs": ("dop", "odp"),
}
"""Language -> the language's names for AM and PM, without periods. The names am and pm are valid in every
language."""


def known_locale(name: str) -> str:
    """Return the language if this module has names for it. Otherwise raises ValueError."""
    if name not in _NAMES:
        raise ValueError(f"no month names for this language; known: {', '.join(_NAMES)}")
    return name


def folded(name: str) -> str:
    """Normalize a name for comparison: convert it to lower case and NFC, and remove periods and spaces."""
    small = unicodedata.normalize("NFC", name).replace("İ", "i").lower()
    text = unicodedata.normalize(
        "NFC", small
    )  # again, because some capital letters have no composed form
    return "".join(c for c in text if c != "." and not c.isspace())


def plain(name: str) -> str:
    """Remove the accents from a name."""
    text = unicodedata.normalize("NFD", name).replace("ı", "i")
    return "".join(c for c in text if not unicodedata.combining(c))


@lru_cache(16)
def months(locale: str | None) -> dict[str, int]:
    """Return `folded` name -> number of the month, 1 to 12."""
    rows = [row.split() for row in _NAMES[locale or "en"].split("|")]
    found = {name: i + 1 for row in rows for i, name in enumerate(row) if name != "-"}
    bare: dict[str, set[int]] = {}
    for name, month in found.items():
        for text in (plain(name), name.upper().lower()):  # Greek has two lowercase sigmas
            bare.setdefault(text, set()).add(month)
    return {**{n: min(m) for n, m in bare.items() if len(m) == 1}, **found}


@lru_cache(16)
def halves(locale: str | None) -> dict[str, int]:
    """Return `folded` name -> 0 for AM, 1 for PM."""
    texts = {"am": 0, "pm": 1, "a": 0, "p": 1}
    for index, name in enumerate(_HALVES.get(locale or "", ())):
        texts[name] = texts[plain(name)] = index
    return texts
