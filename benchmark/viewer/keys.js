// Keys: one table says what each does, and the help dialog prints the same table.

const KEYS = [];
function openHelp() {}
function listenToKeys() {}
