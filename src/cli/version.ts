/** As in package.json; a test holds them together. A constant, because the single binaries carry no package.json. */
export const VERSION = "0.1.0";
