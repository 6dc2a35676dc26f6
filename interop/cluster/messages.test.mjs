// Messages from one node to the clients of another, for each adapter and each mix of nodes, in both directions.

import { exchange } from '../lib/messages.mjs';
import { MIXES } from '../lib/mixes.mjs';

MIXES.forEach((mix) => exchange(mix));
