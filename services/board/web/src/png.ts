// A chart as a picture: drawn again on a canvas, from the SVG on the page as it looks there. No image of the SVG is loaded,
// which the page's policy would have to allow.

import { download } from './csv';

const SCALE = 2;
const MARGIN = 16;
const TITLE_PX = 18;
const NOTE_PX = 13;

export interface Caption {
  title: string;
  /** Below the chart: of when it is and where it is from. */
  note: string;
}

export async function downloadPng(name: string, figure: SVGSVGElement, caption: Caption): Promise<void> {
  const canvas = picture(figure, caption);
  const blob = await new Promise<Blob | null>((done) => {
    canvas.toBlob(done, 'image/png');
  });
  if (blob !== null) download(`${name}.png`, blob);
}

function picture(figure: SVGSVGElement, caption: Caption): HTMLCanvasElement {
  // In light colours whatever the page's are: it goes into a report.
  const box = figure.getBoundingClientRect();
  const copy = figure.cloneNode(true) as SVGSVGElement;
  const stage = document.createElement('div');
  stage.className = 'picture-stage';
  stage.style.width = `${box.width}px`;
  stage.append(copy);
  figure.parentElement?.append(stage);
  const top = MARGIN + TITLE_PX * 1.6;
  const canvas = document.createElement('canvas');
  canvas.width = (box.width + 2 * MARGIN) * SCALE;
  canvas.height = (top + box.height + NOTE_PX * 2.4 + MARGIN) * SCALE;
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('this browser cannot draw pictures');
  const family = getComputedStyle(document.body).fontFamily;
  context.scale(SCALE, SCALE);
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#0b0c0c';
  context.font = `bold ${TITLE_PX}px ${family}`;
  context.fillText(caption.title, MARGIN, MARGIN + TITLE_PX, box.width);
  context.font = `${NOTE_PX}px ${family}`;
  context.fillText(caption.note, MARGIN, top + box.height + NOTE_PX * 1.8, box.width);
  context.translate(MARGIN, top);
  for (const shape of copy.querySelectorAll<SVGGraphicsElement>('path, line, rect, circle, text')) draw(context, shape);
  stage.remove();
  return canvas;
}

function draw(context: CanvasRenderingContext2D, shape: SVGGraphicsElement): void {
  const style = getComputedStyle(shape);
  if (style.display === 'none' || style.visibility === 'hidden') return;
  const matrix = shape.getCTM();
  context.save();
  if (matrix !== null) context.transform(matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f);
  context.globalAlpha = Number(style.opacity);
  if (shape instanceof SVGTextElement) drawText(context, shape, style);
  else paint(context, outline(shape), style);
  context.restore();
}

function drawText(context: CanvasRenderingContext2D, text: SVGTextElement, style: CSSStyleDeclaration): void {
  const align: Record<string, CanvasTextAlign> = { middle: 'center', end: 'right' };
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.textAlign = align[style.textAnchor] ?? 'left';
  context.fillStyle = style.fill;
  context.fillText(text.textContent ?? '', value(text, 'x'), value(text, 'y'));
}

function value(shape: Element, attribute: string): number {
  return Number(shape.getAttribute(attribute) ?? 0);
}

function outline(shape: SVGGraphicsElement): Path2D {
  const of = (attribute: string): number => value(shape, attribute);
  const path = new Path2D(shape.getAttribute('d') ?? undefined);
  if (shape instanceof SVGRectElement) path.rect(of('x'), of('y'), of('width'), of('height'));
  if (shape instanceof SVGCircleElement) path.arc(of('cx'), of('cy'), of('r'), 0, 2 * Math.PI);
  if (shape instanceof SVGLineElement) {
    path.moveTo(of('x1'), of('y1'));
    path.lineTo(of('x2'), of('y2'));
  }
  return path;
}

function paint(context: CanvasRenderingContext2D, path: Path2D, style: CSSStyleDeclaration): void {
  if (style.fill !== 'none') {
    context.fillStyle = style.fill;
    context.fill(path);
  }
  if (style.stroke === 'none') return;
  context.strokeStyle = style.stroke;
  context.lineWidth = Number.parseFloat(style.strokeWidth);
  context.lineCap = style.strokeLinecap as CanvasLineCap;
  context.lineJoin = style.strokeLinejoin as CanvasLineJoin;
  context.setLineDash(style.strokeDasharray === 'none' ? [] : style.strokeDasharray.split(',').map(Number.parseFloat));
  context.stroke(path);
}
