// The numbers of the telnet protocol, each with its RFC. Nothing flows through here: the other files of the codec take their numbers from
// it.

/** Interpret As Command: begins everything that is not user data (RFC 854). In data it is written twice. */
export const IAC = 0xff;

/** The byte behind an IAC (RFC 854; EOF, SUSP, ABORT of RFC 1184; EOR of RFC 885). */
export const Command = {
  eof: 0xec,
  susp: 0xed,
  abort: 0xee,
  eor: 0xef,
  se: 0xf0,
  nop: 0xf1,
  dataMark: 0xf2,
  brk: 0xf3,
  interrupt: 0xf4,
  abortOutput: 0xf5,
  areYouThere: 0xf6,
  eraseCharacter: 0xf7,
  eraseLine: 0xf8,
  goAhead: 0xf9,
  sb: 0xfa,
  will: 0xfb,
  wont: 0xfc,
  do: 0xfd,
  dont: 0xfe,
} as const;

/** Options by number. Those that are only ever refused are here to be named in tests and logs. */
export const Option = {
  binary: 0, // RFC 856
  echo: 1, // RFC 857
  suppressGoAhead: 3, // RFC 858
  status: 5, // RFC 859
  timingMark: 6, // RFC 860
  logout: 18, // RFC 727
  terminalType: 24, // RFC 1091
  windowSize: 31, // RFC 1073
  terminalSpeed: 32, // RFC 1079
  flowControl: 33, // RFC 1372
  linemode: 34, // RFC 1184
  xDisplay: 35, // RFC 1096
  oldEnviron: 36, // RFC 1408
  authentication: 37, // RFC 2941
  encrypt: 38, // RFC 2946
  newEnviron: 39, // RFC 1572
  charset: 42, // RFC 2066
  comPort: 44, // RFC 2217
  mccp2: 86,
  mccp3: 87,
  gmcp: 201,
} as const;

/** First byte of TTYPE, STATUS and NEW-ENVIRON subnegotiations. */
export const IS = 0;
export const SEND = 1;
/** NEW-ENVIRON only: something changed, unasked. */
export const INFO = 2;

/** The four words of option negotiation (RFC 854). */
export type Verb = 'will' | 'wont' | 'do' | 'dont';
