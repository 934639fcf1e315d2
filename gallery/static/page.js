// What every page does: the reader's time zone and language, and words for the screen reader.

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
