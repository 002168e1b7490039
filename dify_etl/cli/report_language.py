"""The languages of a report: the command line names them in its help, before anything is loaded."""

from enum import StrEnum


class ReportLanguage(StrEnum):
    """In which a report opens; its page has all of them."""

    EN = "en"
    ZH = "zh"
