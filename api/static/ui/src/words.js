/** The words in the chosen language. English is the only one so far. */

import { en } from "./words/en.js";

export const words = en;
