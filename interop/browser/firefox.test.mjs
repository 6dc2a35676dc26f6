import { everywhere } from './everywhere.mjs';

everywhere('Firefox');
