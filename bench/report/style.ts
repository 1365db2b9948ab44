import { FONT, PAPER } from '../../lib/markup/paper.js';

/** Colours and font of page and plots. */
export const STYLE = `${PAPER}
:root { --path: #a3adbb; --peer: #e29a3b; --ancestor: #8a70c4; --incumbent: #2f9e72;
  --kernel: #1f5fd6; --relay: #86b3f2; }
@media (prefers-color-scheme: dark) {
  :root { --path: #667284; --peer: #d18a2c; --ancestor: #9b83d4; --incumbent: #3fae82;
    --kernel: #5b97ff; --relay: #3b629f; }
}
svg { font: 12.5px ${FONT}; }
svg text { fill: var(--ink); }
svg .faint { fill: var(--faint); }
svg .strong { font-weight: 600; }
svg .path { fill: var(--path); } svg .peer { fill: var(--peer); }
svg .ancestor { fill: var(--ancestor); } svg .incumbent { fill: var(--incumbent); }
svg .kernel { fill: var(--kernel); } svg .relay { fill: var(--relay); }
svg .paper { fill: var(--paper); }
svg .line { stroke: var(--line); stroke-width: 1; }
svg .whisker { stroke: var(--ink); stroke-width: 1.2; opacity: 0.65; }
svg .band { opacity: 0.3; }
`;
