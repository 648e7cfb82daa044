import { Check, Copy, Link } from 'lucide-react';
import { type ReactNode, memo, useRef, useState } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';

// Answers are untrusted text. HTML in them stays text, images are not loaded, and a link cannot lead the window
// away: it copies its address instead.
const components: Components = {
  a: ({ href, children }) => <CopyLink href={href ?? ''}>{children}</CopyLink>,
  img: ({ alt, src }) => <span className="text-muted">[image: {alt || String(src)}]</span>,
  pre: ({ children }) => <CodeBlock>{children}</CodeBlock>,
  input: ({ checked }) => <span>{checked ? '☑' : '☐'}</span>,
};

const plugins = [remarkGfm];

/** Shows Markdown. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className="prose leading-relaxed break-words">
      <ReactMarkdown remarkPlugins={plugins} components={components}>
        {text}
      </ReactMarkdown>
    </div>
  );
});

function CopyLink({ href, children }: { href: string; children: ReactNode }) {
  const [copied, copy] = useCopy();
  return (
    <button
      type="button"
      title={`Copy ${href}`}
      onClick={() => copy(href)}
      className="inline text-accent underline underline-offset-2"
    >
      {children}
      {copied ? (
        <Check size={12} aria-hidden="true" className="ml-0.5 inline" />
      ) : (
        <Link size={12} aria-hidden="true" className="ml-0.5 inline" />
      )}
      <span className="sr-only" role="status">
        {copied ? ' address copied' : ''}
      </span>
    </button>
  );
}

function CodeBlock({ children }: { children: ReactNode }) {
  const [copied, copy] = useCopy();
  const block = useRef<HTMLPreElement>(null);
  return (
    <div className="group relative">
      <pre ref={block} tabIndex={0}>
        {children}
      </pre>
      <button
        type="button"
        aria-label={copied ? 'Copied' : 'Copy the code'}
        onClick={() => copy(block.current?.textContent ?? '')}
        className="button button-quiet absolute top-2 right-2 size-7 bg-surface p-0 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100"
      >
        {copied ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />}
      </button>
    </div>
  );
}

/** Copies text and says so for the rest of the element's life. */
function useCopy(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  const copy = (text: string) => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return [copied, copy];
}
